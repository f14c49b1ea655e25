//! `defer!`, `on_cancel!`, `race!` and `task_group!` are names like all others: they mean what
//! they mean in Rust, and whatever else goes by them stays what it is.

#![deny(unused_imports, unused_macros)]

use std::future::pending;
use std::time::Duration;

use taskscope::{Scope, cancellable, timeout};
use taskscope_tests::{Log, paused};
use tokio::task::yield_now;

/// A crate's own macro, which takes a closure.
mod closure {
    pub(crate) struct Guard<F: FnMut()>(pub(crate) F);

    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    macro_rules! guard {
        ($f:expr) => {
            let _guard = crate::macro_names::closure::Guard($f);
        };
    }
    pub(crate) use guard;
}

mod imported {
    use taskscope::{BoxError, cancellable, defer, on_cancel, race, task_group};
    use taskscope_tests::Log;
    use tokio::task::yield_now;

    #[cancellable]
    pub(crate) async fn all(log: &Log) -> Result<(), BoxError> {
        defer! { yield_now().await; log.add("deferred"); }
        on_cancel! { log.add("cancelled"); }
        race! { () = std::future::ready(()) => log.add("raced") }
        task_group!(|_| {
            log.add("grouped");
            Ok(())
        })
        .await?;
        std::future::pending().await
    }
}

#[test]
fn an_import_is_used_by_each() {
    paused(async || {
        let log = Log::new();
        let limit = Duration::from_secs(1);
        timeout(limit, imported::all(&log)).await.unwrap_err();
        log.is(&["raced", "grouped", "cancelled", "deferred"]);
    });
}

#[test]
fn paths_need_no_import() {
    #[cancellable]
    async fn by_path(log: &Log) {
        taskscope::defer! { yield_now().await; log.add("deferred"); }
        ::taskscope::on_cancel! { log.add("cancelled"); }
        taskscope::race! { () = std::future::ready(()) => log.add("raced") }
        taskscope::task_group!(|_| Ok(())).await.unwrap();
        pending().await
    }
    paused(async || {
        let log = Log::new();
        let limit = Duration::from_secs(1);
        timeout(limit, by_path(&log)).await.unwrap_err();
        log.is(&["raced", "cancelled", "deferred"]);
    });
}

taskscope_tests::logged! {
    async fn of_a_library(log) {
        log.add("body");
        tokio::task::yield_now().await;
        Ok(())
    }
}

taskscope_tests::logged! {
    async fn of_a_library_for_long(log) {
        log.add("body");
        std::future::pending().await
    }
}

#[test]
fn a_macro_of_a_library_writes_them_by_its_own_path() {
    paused(async || {
        let log = Log::new();
        of_a_library(&log).await;
        let limit = Duration::from_secs(1);
        let late = timeout(limit, of_a_library_for_long(&log)).await;
        late.unwrap_err();
        log.is(&["body", "end", "body", "cancelled", "end"]);
    });
}

/// A module of the crate that hands ours on.
mod prelude {
    pub(crate) use taskscope::{defer, race};
}

mod by_way_of_a_prelude {
    use taskscope::cancellable;
    use taskscope_tests::Log;

    #[cancellable]
    pub(crate) mod annotated {
        use super::super::prelude::{defer, race};
        use taskscope_tests::Log;

        pub(crate) async fn in_a_module(log: &Log) {
            defer! { tokio::task::yield_now().await; log.add("deferred"); }
            race! { () = std::future::ready(()) => log.add("raced") }
        }
    }

    #[cancellable]
    pub(crate) async fn in_a_function(log: &Log) {
        use crate::macro_names::prelude::defer;
        defer! { tokio::task::yield_now().await; log.add("deferred"); }
        log.add("body");
    }
}

#[test]
fn an_import_from_the_crate_itself_may_be_ours() {
    paused(async || {
        let log = Log::new();
        by_way_of_a_prelude::annotated::in_a_module(&log).await;
        by_way_of_a_prelude::in_a_function(&log).await;
        log.is(&["raced", "deferred", "body", "deferred"]);
    });
}

#[cancellable]
mod by_way_of_a_crate {
    use taskscope::CancelHandle;
    use taskscope_tests::Log;
    use taskscope_tests::library::handed_on::{race, task_group};
    use tokio::task::yield_now;

    pub(crate) async fn raced(handle: &CancelHandle, log: &Log) {
        race! {
            () = std::future::ready(()) => {
                handle.cancel();
                yield_now().await;
                log.add("never");
            }
        }
    }

    pub(crate) async fn grouped(handle: &CancelHandle, log: &Log) {
        let group = task_group!(|_| {
            handle.cancel();
            yield_now().await;
            log.add("never");
            Ok(())
        });
        group.await.ok();
    }
}

#[test]
fn a_race_or_a_group_may_come_from_a_crate_that_hands_it_on() {
    paused(async || {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let raced = by_way_of_a_crate::raced(&handle, &log);
        scope.run(raced).await.unwrap_err();
        let scope = Scope::new();
        let handle = scope.handle();
        let grouped = by_way_of_a_crate::grouped(&handle, &log);
        scope.run(grouped).await.unwrap_err();
        log.is(&[]);
    });
}

#[cancellable]
mod beside_a_function {
    use taskscope::defer;
    use taskscope_tests::Log;
    use taskscope_tests::library::functions::defer;

    pub(crate) async fn both(log: &Log) {
        defer! { tokio::task::yield_now().await; log.add("deferred"); }
        log.add(defer());
    }
}

#[test]
fn a_function_may_have_the_same_name() {
    paused(async || {
        let log = Log::new();
        beside_a_function::both(&log).await;
        log.is(&["a function", "deferred"]);
    });
}

#[test]
fn another_macro_that_the_function_declares_or_imports_stays() {
    #[cancellable]
    async fn declared(log: &Log) {
        macro_rules! defer {
            ($f:expr) => {
                let _guard = closure::Guard($f);
            };
        }
        defer!(|| log.add("declared"));
        yield_now().await;
        log.add("body");
    }
    #[cancellable]
    async fn imported(log: &Log) {
        use scopeguard::defer;
        defer! { log.add("scopeguard"); }
        yield_now().await;
        log.add("body");
    }
    #[cancellable]
    async fn renamed(log: &Log) {
        use closure::guard as on_cancel;
        on_cancel!(|| log.add("renamed"));
        yield_now().await;
        log.add("body");
    }
    #[cancellable]
    async fn last_in_its_block(log: &Log) {
        use scopeguard::defer;
        {
            defer! { log.add("scopeguard"); }
        }
        let work = || {
            defer! { log.add("closure"); }
            log.add("work");
        };
        work();
        yield_now().await;
    }
    paused(async || {
        let log = Log::new();
        declared(&log).await;
        imported(&log).await;
        renamed(&log).await;
        last_in_its_block(&log).await;
        log.is(&[
            "body",
            "declared",
            "body",
            "scopeguard",
            "body",
            "renamed",
            "scopeguard",
            "work",
            "closure",
        ]);
    });
}

#[cancellable]
mod annotated {
    use scopeguard::defer;
    use taskscope_tests::Log;

    #[macro_use]
    mod helpers {
        macro_rules! race {
            ($left:ident = $first:expr => $then:expr) => {{
                let $left = $first;
                $then
            }};
        }
    }

    pub(crate) async fn foreign(log: &Log) -> u32 {
        defer! { log.add("scopeguard"); }
        tokio::task::yield_now().await;
        race! { n = 1 => n + 1 }
    }

    pub(crate) async fn ours(log: &Log) {
        use taskscope::defer;
        defer! { tokio::task::yield_now().await; log.add("deferred"); }
        tokio::task::yield_now().await;
    }

    pub(crate) async fn in_a_group(log: &Log) {
        let group = taskscope::task_group!(|_| {
            defer! { log.add("scopeguard"); }
            tokio::task::yield_now().await;
            log.add("body");
            Ok(())
        });
        group.await.unwrap();
    }
}

#[test]
fn another_macro_that_the_module_declares_or_imports_stays() {
    paused(async || {
        let log = Log::new();
        assert_eq!(annotated::foreign(&log).await, 2);
        annotated::ours(&log).await;
        annotated::in_a_group(&log).await;
        log.is(&["scopeguard", "deferred", "body", "scopeguard"]);
    });
}

#[test]
fn another_macro_by_its_path_stays() {
    #[cancellable]
    async fn by_path(log: &Log) {
        scopeguard::defer! { log.add("scopeguard"); }
        closure::guard!(|| log.add("closure"));
        yield_now().await;
        log.add("body");
    }
    paused(async || {
        let log = Log::new();
        by_path(&log).await;
        log.is(&["body", "closure", "scopeguard"]);
    });
}

#[test]
fn guards_within_guards() {
    #[cancellable]
    async fn nested(log: &Log) -> u32 {
        use taskscope::{defer, race, task_group};
        defer! { log.add("outer"); }
        let n = {
            defer! { yield_now().await; log.add("inner"); }
            task_group!(|g| {
                defer! { log.add("group"); }
                let task = task_group!(|_| {
                    defer! { log.add("group in a group"); }
                    Ok(1)
                });
                Ok(g.spawn_scoped(task).await?)
            })
            .await
            .unwrap()
        };
        for _ in 0..n {
            defer! { log.add("round"); }
            race! {
                () = yield_now() => {
                    defer! { log.add("handler"); }
                    continue;
                }
            }
        }
        n
    }
    paused(async || {
        let log = Log::new();
        assert_eq!(nested(&log).await, 1);
        log.is(&[
            "group in a group",
            "group",
            "inner",
            "handler",
            "round",
            "outer",
        ]);
    });
}
