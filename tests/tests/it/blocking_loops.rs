//! `#[cancellable(blocking)]`: where the loops of a blocking function return.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskscope::{BoxError, CancelHandle, Cancelled, Reason, Scope, blocking, cancellable};
use taskscope_tests::both;

/// Cancels at the fourth round, and counts them all.
#[derive(Clone)]
struct Rounds {
    handle: CancelHandle,
    count: Arc<AtomicUsize>,
}

impl Rounds {
    /// Whether there is a further one.
    fn next(&self) -> bool {
        let round = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if round == 4 {
            self.handle.cancel();
        }
        round < 10
    }
}

#[cancellable(blocking)]
fn for_loop(rounds: Rounds) -> Result<(), BoxError> {
    for _ in 0..10 {
        rounds.next();
    }
    Ok(())
}

#[cancellable(blocking)]
fn while_loop(rounds: Rounds) -> Result<(), BoxError> {
    let mut more = true;
    while more {
        more = rounds.next();
    }
    Ok(())
}

#[cancellable(blocking)]
fn endless_loop(rounds: Rounds) -> Result<(), BoxError> {
    let _: () = loop {
        if !rounds.next() {
            break;
        }
    };
    Ok(())
}

#[cancellable(blocking)]
fn outer_loop(rounds: Rounds) -> std::io::Result<()> {
    'outer: for _ in 0..5 {
        #[no_checkpoint]
        for _ in 0..2 {
            if !rounds.next() {
                break 'outer;
            }
        }
    }
    Ok(())
}

struct Table;

#[cancellable(blocking)]
impl Table {
    fn method(&mut self, rounds: Rounds) -> Result<(), Cancelled> {
        while rounds.next() {
            rounds.count.fetch_add(0, Ordering::SeqCst);
        }
        Ok(())
    }

    fn without_result(&mut self, rounds: Rounds) {
        while rounds.next() {
            rounds.count.fetch_add(0, Ordering::SeqCst);
        }
    }
}

#[cancellable(blocking)]
fn unmarked(rounds: Rounds) -> Result<(), BoxError> {
    #[no_checkpoint]
    while rounds.next() {}
    Ok(())
}

#[cancellable(blocking)]
fn in_closure(rounds: Rounds) -> Result<(), BoxError> {
    let all = || while rounds.next() {};
    all();
    Ok(())
}

/// How many rounds there were, and whether the function returned an error.
async fn rounds_of<E>(f: fn(Rounds) -> Result<(), E>) -> (usize, bool)
where
    E: Send + 'static,
{
    let scope = Scope::new();
    let count = Arc::new(AtomicUsize::new(0));
    let rounds = Rounds {
        handle: scope.handle(),
        count: count.clone(),
    };
    let refused = Arc::new(AtomicUsize::new(0));
    let seen = refused.clone();
    let cancelled = scope.run(blocking(move || {
        let result = f(rounds);
        seen.store(usize::from(result.is_err()), Ordering::SeqCst);
        result
    }));
    if let Err(cancelled) = cancelled.await {
        assert!(matches!(cancelled.reason(), Reason::Requested));
    }
    (
        count.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst) == 1,
    )
}

#[test]
fn each_kind_of_loop_returns_at_its_next_round() {
    both(|| async {
        assert_eq!(rounds_of(for_loop).await, (4, true));
        assert_eq!(rounds_of(while_loop).await, (4, true));
        assert_eq!(rounds_of(endless_loop).await, (4, true));
        assert_eq!(rounds_of(outer_loop).await, (4, true));
        assert_eq!(rounds_of(|rounds| Table.method(rounds)).await, (4, true));
    });
}

#[test]
fn other_loops_run_to_their_end() {
    both(|| async {
        assert_eq!(rounds_of(unmarked).await, (10, false));
        assert_eq!(rounds_of(in_closure).await, (10, false));
        let plain = |rounds: Rounds| {
            Table.without_result(rounds);
            Ok::<_, BoxError>(())
        };
        assert_eq!(rounds_of(plain).await, (10, false));
    });
}

#[test]
fn outside_of_a_scope_nothing_is_refused() {
    let scope = Scope::new();
    let rounds = Rounds {
        handle: scope.handle(),
        count: Arc::default(),
    };
    assert!(for_loop(rounds.clone()).is_ok());
    assert_eq!(rounds.count.load(Ordering::SeqCst), 10);
}
