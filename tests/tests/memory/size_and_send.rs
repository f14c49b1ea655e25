//! What an annotated function costs: nothing in the size of its future, no
//! bound that the plain one does not have, no allocation and no lock in a
//! checkpoint.

use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use taskscope::{Scope, cancellable, defer, on_cancel};
use taskscope_tests::{Driven, both, watched};

use crate::counting::{allocations, alone};

async fn nothing() {}

async fn number(n: u32) -> u32 {
    ready(()).await;
    n
}

async fn fallible(text: String) -> Result<usize, std::num::ParseIntError> {
    ready(()).await;
    text.parse()
}

async fn by_ref(text: &mut String) {
    ready(()).await;
    text.push('.');
}

async fn large(bytes: [u8; 1000]) -> [u8; 1000] {
    ready(()).await;
    bytes
}

/// Each shape twice, annotated and plain, from the same tokens; before it, by
/// how many bytes the annotated one may be larger.
///
/// None, as a rule. But a checkpoint is a point of suspension of its own, so a
/// local that the awaited call takes by value lives across one where it did
/// not, and the compiler gives its place to nothing else. Branches of a join
/// keep track of what is armed inside them.
macro_rules! shapes {
    ($($more:literal: fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block)*) => {
        mod annotated {
            use super::*;
            $(#[cancellable] pub(super) async fn $name($($arg: $ty),*) $(-> $out)? $body)*
        }

        mod plain {
            use super::*;
            $(pub(super) async fn $name($($arg: $ty),*) $(-> $out)? $body)*
        }

        fn sizes() -> Vec<Size> {
            vec![$(Size {
                name: stringify!($name),
                annotated: size_of_future(|($($arg,)*): ($($ty,)*)| annotated::$name($($arg),*)),
                plain: size_of_future(|($($arg,)*): ($($ty,)*)| plain::$name($($arg),*)),
                allowed: $more,
            }),*]
        }
    };
}

#[derive(Debug)]
struct Size {
    name: &'static str,
    annotated: usize,
    plain: usize,
    allowed: usize,
}

/// The size of what a function returns, without calling it.
fn size_of_future<Args, F: Future + Send + 'static>(_: impl Fn(Args) -> F) -> usize {
    size_of::<F>()
}

shapes! {
    0: fn no_await() -> u32 { 7 }

    0: fn one_await() { nothing().await }

    4: fn tail(n: u32) -> u32 { number(n).await }

    4: fn several(n: u32) -> u32 {
        let a = number(n).await;
        let b = number(a).await;
        nothing().await;
        a + b
    }

    0: fn operands(n: u32) -> u32 {
        number(n).await + number(number(n + 1).await).await
    }

    0: fn question(text: String) -> Result<usize, std::num::ParseIntError> {
        let one = fallible(text.clone()).await?;
        let two = fallible(text).await?;
        Ok(one + two)
    }

    0: fn borrows(text: String) -> String {
        let mut text = text;
        by_ref(&mut text).await;
        by_ref(&mut text).await;
        text
    }

    4: fn loops(n: u32) -> u32 {
        let mut sum = 0;
        for i in 0..n {
            sum += number(i).await;
            if sum > 1000 {
                break;
            }
        }
        sum
    }

    24: fn matches(n: u32) -> String {
        match number(n).await {
            0 => String::new(),
            n if n < 10 => {
                nothing().await;
                n.to_string()
            }
            _ => {
                let text = String::from("many");
                nothing().await;
                text
            }
        }
    }

    0: fn holds_much(n: u32) -> usize {
        let bytes = [n as u8; 1000];
        nothing().await;
        let bytes = large(bytes).await;
        bytes.len()
    }

    1000: fn moves_much(bytes: [u8; 1000]) -> usize {
        large(bytes).await.len()
    }

    0: fn boxed(n: u32) -> u32 {
        let inner: Pin<Box<dyn Future<Output = u32> + Send>> = Box::pin(number(n));
        inner.await
    }

    0: fn blocks(n: u32) -> u32 {
        let inner = async {
            nothing().await;
            number(n).await
        };
        inner.await
    }

    4: fn closures(n: u32) -> u32 {
        let twice = async |n: u32| number(n).await * 2;
        twice(n).await + twice(n).await
    }

    // A join that leaves its branches in order, as the own one does.
    424: fn joins(n: u32) -> u32 {
        let (a, b) = tokio::join!(number(n), number(n));
        a + b
    }

    0: fn locks(lock: Arc<tokio::sync::Mutex<u32>>) -> u32 {
        *lock.lock().await += 1;
        let guard = lock.lock().await;
        nothing().await;
        *guard
    }

    8: fn two_arguments(text: String, n: u32) -> String {
        for _ in 0..n {
            nothing().await;
        }
        text
    }
}

#[test]
fn future_is_not_larger_than_the_plain_one() {
    let _alone = alone();
    let sizes = sizes();
    let larger: Vec<_> = sizes
        .iter()
        .filter(|size| size.annotated > size.plain + size.allowed)
        .collect();
    assert!(larger.is_empty(), "larger than allowed: {larger:#?}");
    // Control: they do have sizes.
    let plain = |name| sizes.iter().find(|size| size.name == name).unwrap().plain;
    assert!(plain("holds_much") >= 1000);
    assert!(plain("one_await") < 16);
}

/// A checkpoint loop needs no room either.
#[test]
fn checkpoint_loop_needs_no_room() {
    let _alone = alone();
    #[cancellable]
    async fn marked(n: u32) -> u32 {
        let mut sum = 0;
        #[checkpoint]
        for i in 0..n {
            sum += i;
        }
        nothing().await;
        sum
    }

    async fn by_hand(n: u32) -> u32 {
        let mut sum = 0;
        for i in 0..n {
            ready(()).await;
            sum += i;
        }
        nothing().await;
        sum
    }

    assert!(size_of_val(&marked(1)) <= size_of_val(&by_hand(1)));
}

/// Send where the plain one is, also through traits and generics, and with
/// values that are not `Send` between the awaits.
#[test]
fn future_is_send_where_the_plain_one_is() {
    let _alone = alone();
    fn send<T: Send>(value: T) -> T {
        value
    }

    #[cancellable]
    async fn rc_between_awaits(n: u32) -> u32 {
        nothing().await;
        let n = {
            let shared = std::rc::Rc::new(n);
            *shared + 1
        };
        nothing().await;
        n
    }

    #[cancellable]
    async fn guard_in_an_expression(lock: &std::sync::Mutex<u32>) -> u32 {
        let n = *lock.lock().unwrap();
        let m = number(n).await + *lock.lock().unwrap();
        number(m).await
    }

    #[cancellable]
    async fn generic<T: AsRef<str> + Send, F: Future<Output = T> + Send>(make: F) -> usize {
        make.await.as_ref().len()
    }

    #[cancellable]
    async fn with_defer(text: String) -> usize {
        defer! { nothing().await; }
        on_cancel! { nothing().await; }
        number(1).await;
        text.len()
    }

    #[cancellable]
    async fn higher_ranked(names: &[String]) -> usize {
        let mut sum = 0;
        for name in names {
            sum += borrowed(name).await;
        }
        sum
    }

    async fn borrowed(name: &str) -> usize {
        nothing().await;
        name.len()
    }

    struct Service;

    trait Call {
        fn call<'a>(&'a self, name: &'a str) -> impl Future<Output = usize> + Send + 'a;
    }

    impl Call for Service {
        #[cancellable]
        async fn call<'a>(&'a self, name: &'a str) -> usize {
            borrowed(name).await
        }
    }

    fn boxed<'a>(
        service: &'a impl Call,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
        Box::pin(service.call(name))
    }

    both(|| async {
        let lock = std::sync::Mutex::new(1);
        assert_eq!(send(rc_between_awaits(1)).await, 2);
        assert_eq!(send(guard_in_an_expression(&lock)).await, 2);
        assert_eq!(send(generic(async { "four" })).await, 4);
        assert_eq!(send(with_defer("four".to_owned())).await, 4);
        assert_eq!(
            send(higher_ranked(&["a".to_owned(), "b".to_owned()])).await,
            2
        );
        assert_eq!(boxed(&Service, "four").await, 4);
        assert_eq!(
            tokio::spawn(with_defer("four".to_owned())).await.unwrap(),
            4
        );
    });
}

#[cancellable]
async fn ten_thousand_checkpoints() -> u64 {
    let mut sum = 0;
    for i in 0..5_000 {
        ready(()).await;
        taskscope::checkpoint().await;
        sum += i;
    }
    #[checkpoint]
    for i in 0..5_000 {
        sum += i;
    }
    sum
}

#[test]
fn checkpoint_allocates_nothing() {
    let _alone = alone();
    both(|| async {
        let scope = Scope::new().name("no allocation");
        let mut run = Driven::new(scope.run(async {
            let before = allocations();
            let mut work = std::pin::pin!(ten_thousand_checkpoints());
            let sum = std::future::poll_fn(|cx| work.as_mut().poll(cx)).await;
            (sum, allocations() - before)
        }));
        // Polled by hand, so on one thread.
        let mut polls = 0;
        let (sum, inside) = loop {
            let before = allocations();
            let polled = run.poll();
            polls += 1;
            if let Poll::Ready(outcome) = polled {
                break outcome.unwrap();
            }
            if polls > 1 {
                assert_eq!(allocations() - before, 0, "poll {polls} of the scope");
            }
        };
        assert_eq!(sum, 2 * (0..5_000).sum::<u64>());
        assert!(polls > 1, "control: it lets others run");
        assert_eq!(inside, 0, "in the code itself");

        // Control: the counter counts.
        let before = allocations();
        drop(std::hint::black_box(Box::new(7)));
        assert_eq!(allocations() - before, 1);
    });
}

/// Somebody holds the scope's lock for as long as the checkpoints run: a
/// waker whose clone blocks, given to one who waits for the cancellation.
#[test]
fn checkpoint_takes_no_lock() {
    let _alone = alone();
    static CLONING: AtomicBool = AtomicBool::new(false);
    static RELEASED: AtomicBool = AtomicBool::new(false);

    fn clone(_: *const ()) -> RawWaker {
        CLONING.store(true, Ordering::SeqCst);
        while !RELEASED.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        RawWaker::new(std::ptr::null(), &BLOCKS)
    }
    fn nop(_: *const ()) {}
    static BLOCKS: RawWakerVTable = RawWakerVTable::new(clone, nop, nop, nop);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let scope = Scope::new();
    let handle = scope.handle();
    let passed = Arc::new(AtomicU64::new(0));
    let counting = passed.clone();
    let (started, starts) = std::sync::mpsc::channel();
    let (go, goes) = std::sync::mpsc::channel::<()>();

    let worker = std::thread::spawn(move || {
        let mut run = Driven::new(scope.run(checkpoints(started, goes, counting)));
        run.pending();
    });

    #[cancellable]
    async fn checkpoints(
        started: std::sync::mpsc::Sender<()>,
        goes: std::sync::mpsc::Receiver<()>,
        passed: Arc<AtomicU64>,
    ) {
        started.send(()).unwrap();
        goes.recv().unwrap();
        // Within one poll's budget: what the boundary does between polls is
        // not the question.
        for _ in 0..50 {
            ready(()).await;
            passed.fetch_add(1, Ordering::SeqCst);
        }
        pending::<()>().await;
    }

    watched(|| {
        starts.recv().unwrap();
        let locker = std::thread::spawn(move || {
            // SAFETY: the vtable's functions use no data and uphold the contract.
            let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &BLOCKS)) };
            let mut waiting = std::pin::pin!(handle.cancelled());
            assert!(
                waiting
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        });
        while !CLONING.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        go.send(()).unwrap();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while passed.load(Ordering::SeqCst) < 50 {
            assert!(
                std::time::Instant::now() < limit,
                "a checkpoint waits for a lock"
            );
            std::thread::yield_now();
        }
        RELEASED.store(true, Ordering::SeqCst);
        locker.join().unwrap();
        worker.join().unwrap();
    });
}
