#![deny(warnings)]

use std::cell::RefCell;
use std::sync::Mutex;
use taskscope::cancellable;

async fn step(n: u32) -> u32 {
    n
}

async fn borrow(text: &str) -> &str {
    text
}

async fn never() -> ! {
    std::future::pending::<()>().await;
    unreachable!()
}

// Temporaries live to the end of the statement, as without the attribute.
#[cancellable]
async fn temporaries() -> usize {
    let extended = &step(1).await;
    let text = borrow(&String::from("a")).await.len();
    *extended as usize + text
}

// What is awaited may borrow from a guard that is dropped in the same statement.
#[cancellable]
async fn guards(cell: &Mutex<u32>, local: &RefCell<Vec<u32>>) {
    let n = *cell.lock().unwrap();
    local.borrow_mut().push(n);
    step(n).await;
}

#[cancellable]
async fn diverging(n: u32) -> u32 {
    if n == 1 {
        never().await;
    }
    match n {
        0 => never().await,
        n => step(n).await,
    }
}

#[cancellable]
async fn to_never() -> ! {
    never().await
}

#[cancellable]
async fn attributes() -> u32 {
    #[cfg(any())]
    missing().await;
    #[allow(clippy::let_unit_value)]
    let sum = step(1).await + {
        #[cfg(all())]
        step(2).await
    };
    sum
}

#[cancellable]
async fn in_macros(text: &mut String) {
    use std::fmt::Write;
    println!("{} {n}", step(1).await, n = step(2).await);
    write!(text, "{:?}", vec![step(1).await, step(2).await]).unwrap();
    assert!(matches!(step(1).await, 1 | 2..=3), "{}", step(1).await);
    let (_, _) = tokio::join!(step(1), async { step(2).await });
    let _ = vec![step(1).await; 3];
}

// What only an await needs around its operand is not said to be needless.
#[cancellable]
async fn wrapped(n: u32) -> u32 {
    let future = step(n);
    (async { step(n).await }).await + { step(n) }.await + { future }.await + (step(n)).await
}

#[cancellable]
async fn nested() -> u32 {
    let block = async { step(1).await };
    let closure = async |n| step(n).await;
    let plain = |n| async move { step(n).await };
    async fn inner() -> u32 {
        step(1).await
    }
    block.await + closure(1).await + plain(1).await + inner().await
}

#[cancellable(loops)]
async fn loops(mut n: u32) -> u32 {
    #[no_checkpoint]
    for _ in 0..3 {
        n += 1;
    }
    'outer: while n < 10 {
        loop {
            n += 1;
            if n > 5 {
                break 'outer;
            }
        }
    }
    n
}

#[cancellable]
async fn marked() -> u32 {
    let mut n = 0;
    let found = #[checkpoint]
    loop {
        n += 1;
        if n > 3 {
            break n;
        }
    };
    #[checkpoint]
    'label: for i in 0..found {
        if i == 1 {
            break 'label;
        }
    }
    n
}

fn main() {
    fn send<F: Send>(_: F) {}
    send(temporaries());
    send(diverging(1));
    send(to_never());
    send(attributes());
    send(in_macros(&mut String::new()));
    send(wrapped(1));
    send(nested());
    send(loops(0));
    send(marked());
    drop(guards(&Mutex::new(1), &RefCell::new(Vec::new())));
}
