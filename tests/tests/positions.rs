//! What follows a `defer!` becomes a block of its own, after which the cleanup stands. Nothing
//! that is moved by that means anything else than before.

use taskscope::{cancellable, defer, on_cancel, race, task_group};
use taskscope_tests::{Log, paused};
use tokio::task::yield_now;

#[test]
fn a_macro_means_what_is_declared_above_it() {
    #[cancellable]
    async fn twice() -> (u32, u32) {
        defer! { yield_now().await; }
        macro_rules! m {
            () => {
                10
            };
        }
        let a = m!();
        macro_rules! m {
            () => {
                20
            };
        }
        (a, m!())
    }
    #[cancellable]
    async fn names_a_local() -> u32 {
        let x = 1;
        defer! { yield_now().await; }
        let x = x + 1;
        macro_rules! m {
            () => {
                x
            };
        }
        m!()
    }
    paused(async || {
        assert_eq!(twice().await, (10, 20));
        assert_eq!(names_a_local().await, 2);
    });
}

#[test]
fn a_cleanup_does_not_see_the_macros_below_it() {
    #[cancellable]
    async fn above(log: &Log) {
        macro_rules! name {
            () => {
                "above"
            };
        }
        defer! { log.add(name!()); }
        macro_rules! name {
            () => {
                "below"
            };
        }
        yield_now().await;
        log.add(name!());
    }
    paused(async || {
        let log = Log::new();
        above(&log).await;
        log.is(&["below", "above"]);
    });
}

#[test]
fn items_are_known_in_the_whole_block() {
    #[cancellable]
    async fn f(log: &Log) -> u32 {
        log.add(NAME);
        on_cancel! { log.add("never"); }
        defer! { log.add(named()); }
        macro_rules! three {
            () => {
                3
            };
        }
        // This one needs the macro, the others are needed above.
        const THREE: u32 = three!();
        fn named() -> &'static str {
            NAME
        }
        const NAME: &str = "name";
        yield_now().await;
        THREE
    }
    paused(async || {
        let log = Log::new();
        assert_eq!(f(&log).await, 3);
        log.is(&["name", "name"]);
    });
}

#[test]
fn a_module_of_macros_stays_where_it_is() {
    #[cancellable]
    async fn f() -> (u32, u32) {
        macro_rules! m {
            () => {
                1
            };
        }
        defer! { yield_now().await; }
        let a = m!();
        #[macro_use]
        mod macros {
            macro_rules! m {
                () => {
                    2
                };
            }
        }
        (a, m!())
    }
    paused(async || assert_eq!(f().await, (1, 2)));
}

#[test]
fn in_loops_races_and_groups_too() {
    #[cancellable]
    async fn f() -> Vec<u32> {
        let mut seen = Vec::new();
        for n in 0..2 {
            defer! { yield_now().await; }
            macro_rules! m {
                () => {
                    n
                };
            }
            seen.push(m!());
            let n = n + 10;
            macro_rules! m {
                () => {
                    n
                };
            }
            seen.push(m!());
        }
        race! {
            n = std::future::ready(100) => {
                defer! { yield_now().await; }
                let n = n + 1;
                macro_rules! m { () => { n }; }
                seen.push(m!());
            }
        }
        let grouped = task_group!(|_| {
            let n = 200;
            defer! { yield_now().await; }
            let n = n + 1;
            macro_rules! m {
                () => {
                    n
                };
            }
            Ok(m!())
        });
        seen.push(grouped.await.unwrap());
        seen
    }
    paused(async || assert_eq!(f().await, [0, 10, 1, 11, 101, 201]));
}
