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

/// What the items below would lead to if they were moved.
fn base() -> u32 {
    1
}

macro_rules! make_fn {
    ($name:ident, $value:expr) => {
        fn $name() -> u32 {
            $value
        }
    };
}

/// Whether an annotated function with a `defer!` before these statements gives what a plain
/// function with them gives.
macro_rules! same_as_plain {
    ($($body:tt)*) => {
        paused(async || {
            #[cancellable]
            async fn guarded() -> u32 {
                defer! { yield_now().await; }
                $($body)*
            }
            async fn plain() -> u32 {
                $($body)*
            }
            assert_eq!(guarded().await, 20);
            assert_eq!(plain().await, 20);
        });
    };
}

#[test]
fn an_item_stays_below_the_macro_that_it_depends_on() {
    same_as_plain! {
        macro_rules! ten { () => { 10 } }
        fn base() -> u32 { ten!() }
        fn twice() -> u32 { base() * 2 }
        twice()
    }
    same_as_plain! {
        fn twice() -> u32 { base() * 2 }
        macro_rules! ten { () => { 10 } }
        fn base() -> u32 { ten!() }
        twice()
    }
    same_as_plain! {
        macro_rules! ten { () => { 10 } }
        use ten as n;
        n!() + n!()
    }
    same_as_plain! {
        macro_rules! twenty { () => { 20 } }
        mod inner { pub(super) fn base() -> u32 { twenty!() } }
        use inner::base;
        base()
    }
    same_as_plain! {
        macro_rules! twenty { () => { 20 } }
        mod inner { pub(super) fn base() -> u32 { twenty!() } }
        use inner::*;
        fn same() -> u32 { base() }
        same()
    }
    same_as_plain! {
        macro_rules! twenty { () => { 20 } }
        #[derive(Clone, Copy)]
        enum Own { A = twenty!() }
        impl Own { fn value(self) -> u32 { self as u32 } }
        trait Value { fn get(self) -> u32; }
        impl Value for Own { fn get(self) -> u32 { twenty!(); self.value() } }
        fn value(own: Own) -> u32 { own.get() }
        value(Own::A)
    }
    same_as_plain! {
        macro_rules! twenty { () => { 20 } }
        trait Twenty { fn twenty(self) -> u32 where Self: Sized { twenty!() } }
        impl Twenty for u8 {}
        fn value() -> u32 { 0_u8.twenty() }
        value()
    }
}

#[test]
fn an_item_stays_below_what_a_macro_declares() {
    thread_local! {
        static DEPTH: u32 = const { 1 };
    }
    assert_eq!(DEPTH.with(|depth| *depth) + base(), 2);
    same_as_plain! {
        make_fn!(base, 10);
        fn twice() -> u32 { base() * 2 }
        twice()
    }
    same_as_plain! {
        fn twice() -> u32 { base() * 2 }
        make_fn!(base, 10);
        twice()
    }
    same_as_plain! {
        thread_local! { static DEPTH: u32 = const { 20 }; }
        fn depth() -> u32 { DEPTH.with(|depth| *depth) }
        depth()
    }
    same_as_plain! {
        tokio::task_local! { static DEPTH: u32; }
        fn depth() -> u32 { DEPTH.try_with(|depth| *depth).unwrap_or(20) }
        depth()
    }
}

#[test]
fn a_well_known_macro_declares_nothing() {
    #[cancellable]
    async fn f(log: &Log) -> u32 {
        defer! { log.add(NAME); log.add(named()); }
        assert_eq!(NAME, "name");
        println!("{NAME}");
        task_group!(|_| Ok::<_, taskscope::BoxError>(())).await.ok();
        const NAME: &str = "name";
        fn named() -> &'static str {
            NAME
        }
        3
    }
    paused(async || {
        let log = Log::new();
        assert_eq!(f(&log).await, 3);
        log.is(&["name", "name"]);
    });
}
