//! `#[cancellable(send)]`: what changes is the signature alone.

use std::future::{Future, pending, ready};
use std::pin::pin;
use std::task::{Context, Waker};

use taskscope::{BoxError, Group, Value, cancellable, task_group};
use taskscope_tests::{DropMark, Log, both};

/// Waits once, for ever or not at all.
async fn wait(long: bool) {
    if long {
        pending().await
    } else {
        ready(()).await
    }
}

/// The same functions under another attribute.
macro_rules! functions {
    ($name:ident, $(#[$attr:meta])*) => {
        #[allow(clippy::redundant_pattern, clippy::toplevel_ref_arg, reason = "to have them all")]
        mod $name {
            use super::{DropMark, Log, cancellable, wait};

            type Pair = (DropMark, DropMark);

            pub(super) struct Owner {
                pub(super) used: DropMark,
                #[allow(dead_code, reason = "dropped")]
                pub(super) unused: DropMark,
            }

            $(#[$attr])*
            pub(super) async fn names(long: bool, _a: DropMark, mut _b: DropMark, c: DropMark) {
                let _local = c;
                wait(long).await;
            }

            $(#[$attr])*
            pub(super) async fn patterns(
                long: bool,
                _: DropMark,
                (_a, _): Pair,
                (_, _b): Pair,
                ref _c: DropMark,
                _d @ _: DropMark,
            ) {
                wait(long).await;
            }

            impl Owner {
                $(#[$attr])*
                pub(super) async fn by_value(self, long: bool, _a: DropMark) {
                    let _used = &self.used;
                    wait(long).await;
                }

                $(#[$attr])*
                pub(super) async fn unmentioned(mut self, long: bool, _: DropMark, _b: DropMark) {
                    wait(long).await;
                }
            }

            $(#[$attr])*
            pub(super) async fn last_temporary(log: Log, _first: DropMark, _: DropMark) -> usize {
                wait(false).await;
                std::mem::size_of_val(&log.mark("temporary"))
            }
        }
    };
}

functions!(plain, #[cancellable] #[allow(unused_mut)]);
functions!(sent, #[cancellable(send)] #[allow(unused_mut)]);

/// Drops a future after so many polls.
fn polled(future: impl Future<Output = ()>, polls: usize) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = future.as_mut().poll(&mut cx);
    }
}

macro_rules! dropped {
    ($name:ident, $long:expr, $polls:expr) => {{
        let log = Log::new();
        let mark = |name| log.mark(name);
        let owner = || $name::Owner {
            used: mark("used"),
            unused: mark("unused"),
        };
        let made = |name| log.add(format!("made {name}"));

        let future = $name::names($long, mark("a"), mark("b"), mark("c"));
        made("names");
        polled(future, $polls);
        let pairs = (mark("a"), mark("a2"));
        let future = $name::patterns(
            $long,
            mark("_"),
            pairs,
            (mark("b"), mark("b2")),
            mark("c"),
            mark("d"),
        );
        made("patterns");
        polled(future, $polls);
        let future = owner().by_value($long, mark("a"));
        made("by_value");
        polled(future, $polls);
        let future = owner().unmentioned($long, mark("_"), mark("b"));
        made("unmentioned");
        polled(future, $polls);
        log.entries()
    }};
}

#[test]
fn arguments_are_dropped_as_by_an_async_fn() {
    for (long, polls) in [(false, 0), (false, 1), (true, 1)] {
        let expected = dropped!(plain, long, polls);
        assert_eq!(expected.len(), 4 + 3 + 7 + 3 + 4, "{expected:?}");
        assert_eq!(dropped!(sent, long, polls), expected, "{long} {polls}");
    }
}

#[test]
fn temporaries_of_the_value_are_dropped_before_the_arguments() {
    both(|| async {
        let log = Log::new();
        plain::last_temporary(log.clone(), log.mark("first"), log.mark("second")).await;
        let expected = ["drop temporary", "drop second", "drop first"];
        log.is(&expected);
        let log = Log::new();
        sent::last_temporary(log.clone(), log.mark("first"), log.mark("second")).await;
        log.is(&expected);
    });
}

#[cancellable(send)]
async fn tree(g: Group<'static>, log: Log, depth: u32) -> Result<(), BoxError> {
    log.add(format!("at {depth}"));
    if depth > 0 {
        for _ in 0..2 {
            g.spawn(tree(g.clone(), log.clone(), depth - 1));
        }
    }
    Ok(())
}

#[test]
fn a_function_spawns_itself() {
    both(|| async {
        let log = Log::new();
        task_group!(|g| {
            g.spawn(tree(g.clone(), log.clone(), 3));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.count("at 0"), 8);
    });
}

/// Fetches; its futures are `Send` for whoever calls it.
#[cancellable(send)]
trait Fetch {
    async fn fetch(&self, key: &str) -> Result<String, BoxError>;

    async fn twice(&self, key: &str) -> Result<String, BoxError>
    where
        Self: Sync,
    {
        let first = self.fetch(key).await?;
        Ok(first + &self.fetch(key).await?)
    }
}

struct Upper(&'static str);

#[cancellable(send)]
impl Fetch for Upper {
    async fn fetch(&self, key: &str) -> Result<String, BoxError> {
        ready(()).await;
        Ok(format!("{}{}", self.0, key.to_uppercase()))
    }
}

async fn in_a_task<F: Fetch + Sync + 'static>(fetch: &'static F) -> Result<String, BoxError> {
    let fetched = task_group!(|g| {
        let task = g.spawn(async move { Ok::<_, BoxError>(Value(fetch.twice("key").await?).0) });
        Ok(task.await?)
    });
    Ok(fetched.await?)
}

#[test]
fn a_generic_caller_spawns_a_trait_method() {
    both(|| async {
        static UPPER: Upper = Upper("-");
        assert_eq!(in_a_task(&UPPER).await.unwrap(), "-KEY-KEY");
    });
}
