//! Entering a shield or a group is not a checkpoint, however it is spelled: the shielded work runs
//! in a scope that is cancelled already.

use std::pin::pin;

use taskscope::{BoxError, Scope, TaskGroup, cancellable, shield, task_group};
use taskscope_tests::{Log, paused};
use tokio::task::yield_now;

async fn commit(log: &Log) -> usize {
    commit_as(log, "shielded").await
}

async fn commit_as(log: &Log, entry: &str) -> usize {
    yield_now().await;
    log.add(entry);
    log.count(entry)
}

// What `body` logs in a scope that is cancelled while `body` runs.
async fn in_a_cancelled_scope(body: impl Future<Output = ()>) {
    let scope = Scope::new();
    let handle = scope.handle();
    let cancelled = scope
        .run(async {
            handle.cancel();
            body.await;
            std::future::pending::<()>().await;
        })
        .await;
    cancelled.unwrap_err();
}

macro_rules! assert_entered {
    ($($name:ident: |$log:ident| $body:expr;)*) => {$(
        {
            #[cancellable]
            async fn $name($log: &Log) {
                $body;
                $log.add("left");
                yield_now().await;
                $log.add("never");
            }
            let log = Log::new();
            in_a_cancelled_scope($name(&log)).await;
            assert_eq!(log.entries(), ["shielded", "left"], stringify!($name));
        }
    )*};
}

#[test]
fn a_shield() {
    paused(async || {
        assert_entered! {
            as_it_is: |log| shield(commit(log)).await;
            in_parentheses: |log| (shield(commit(log))).await;
            in_a_block: |log| { shield(commit(log)) }.await;
            at_the_end_of_a_block: |log| { let work = commit(log); shield(work) }.await;
            after_a_cleanup: |log| {
                taskscope::defer! { log.count("cleanup"); }
                let work = commit(log);
                shield(work)
            }.await;
            pinned: |log| pin!(shield(commit(log))).as_mut().await;
            pinned_by_path: |log| std::pin::pin!(shield(commit(log))).await;
            by_reference: |log| (&mut pin!(shield(commit(log)))).await;
            boxed: |log| Box::pin(shield(commit(log))).await;
            in_one_of_two_branches: |log| if log.entries().is_empty() {
                Box::pin(shield(commit_as(log, "shielded")))
            } else {
                Box::pin(shield(commit_as(log, "other")))
            }.await;
            in_an_arm: |log| match log.count("") {
                0 => Box::pin(shield(commit_as(log, "shielded"))),
                _ => Box::pin(shield(commit_as(log, "other"))),
            }.await;
        }
    });
}

// Where the future is an argument of the macro that writes the function.
macro_rules! function {
    (async fn $name:ident($log:ident) { $future:expr }) => {
        #[cancellable]
        async fn $name($log: &Log) {
            let _ = $future.await;
            $log.add("left");
            yield_now().await;
            $log.add("never");
        }
    };
}

function! { async fn shield_in_a_macro(log) { shield(commit(log)) } }
function! { async fn parentheses_in_a_macro(log) { (shield(commit(log))) } }
function! {
    async fn group_in_a_macro(log) {
        task_group!(|_| { shield(commit(log)).await; Ok(()) })
    }
}

#[test]
fn as_an_argument_of_a_macro() {
    paused(async || {
        let log = Log::new();
        in_a_cancelled_scope(shield_in_a_macro(&log)).await;
        in_a_cancelled_scope(parentheses_in_a_macro(&log)).await;
        in_a_cancelled_scope(group_in_a_macro(&log)).await;
        log.is(&["shielded", "left"].repeat(3));
    });
}

#[test]
fn a_group() {
    paused(async || {
        assert_entered! {
            as_it_is: |log| task_group!(|_| Ok(shield(commit(log)).await)).await.unwrap();
            in_parentheses: |log| (task_group!(|_| Ok(shield(commit(log)).await))).await.unwrap();
            in_a_block: |log| { task_group!(|_| Ok(shield(commit(log)).await)) }.await.unwrap();
            boxed: |log| Box::pin(task_group!(|_| Ok(shield(commit(log)).await))).await.unwrap();
            built: |log| {
                let group = TaskGroup::<BoxError>::new();
                (TaskGroup::run(group, async |_| Ok(shield(commit(log)).await))).await.unwrap()
            };
        }
    });
}

/// What goes by the names of regions, and is none.
mod bank {
    use taskscope_tests::Log;

    pub(crate) mod shield {
        pub(crate) async fn charge(log: &super::Log) {
            log.add("never");
        }
    }

    pub(crate) async fn shield(log: &Log) {
        log.add("never");
    }

    pub(crate) struct TaskGroup;

    impl TaskGroup {
        pub(crate) async fn run(log: &Log) {
            log.add("never");
        }
    }
}

macro_rules! assert_not_entered {
    ($($name:ident: |$log:ident| $body:expr;)*) => {$(
        {
            #[cancellable]
            async fn $name($log: &Log) {
                $body;
            }
            let log = Log::new();
            in_a_cancelled_scope($name(&log)).await;
            assert_eq!(log.entries(), [""; 0], stringify!($name));
        }
    )*};
}

#[test]
fn what_has_the_name_of_a_region_is_an_await_like_others() {
    paused(async || {
        assert_not_entered! {
            in_a_module: |log| bank::shield::charge(log).await;
            of_a_module: |log| bank::shield(log).await;
            a_type: |log| bank::TaskGroup::run(log).await;
            a_function_of_its_own: |log| {
                async fn shield(log: &Log) {
                    log.add("never");
                }
                shield(log).await
            };
        }
    });
}

#[test]
fn an_arm_without_a_value_is_no_objection() {
    paused(async || {
        assert_entered! {
            returns: |log| match std::hint::black_box(Some(1)) {
                Some(_) => shield(commit(log)),
                None => return,
            }.await;
            panics: |log| { if log.entries().is_empty() { shield(commit(log)) } else { panic!("no") } }.await;
            dereferenced: |log| (&mut *Box::pin(shield(Box::pin(commit(log))))).await;
            qualified: |log| <TaskGroup>::new().run(async |_| Ok(shield(commit(log)).await)).await.unwrap();
        }
    });
}
