//! The report hook is user code: it may call back, panic and be dropped anywhere.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taskscope::{cancellable, defer, set_report_hook};
use taskscope_tests::{Driven, watched};

/// Causes one report.
fn lose() {
    #[cancellable]
    async fn armed() {
        defer! { tokio::task::yield_now().await; }
        pending::<()>().await;
    }

    Driven::new(armed()).pending();
}

/// The hook is one for the process: tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `f` when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Sets a hook that counts its calls.
fn count_reports() -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    set_report_hook(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    calls
}

/// A hook that does nothing but to hold `held`.
fn holds<T: Send + Sync + 'static>(held: T) -> impl Fn(&taskscope::Report) + Send + Sync + 'static {
    move |_| {
        let _ = &held;
    }
}

#[test]
fn what_a_former_hook_holds_may_report_when_it_is_dropped() {
    let _alone = alone();
    watched(|| {
        set_report_hook(holds(OnDrop(lose)));
        let calls = count_reports();
        assert_eq!(calls.load(Ordering::SeqCst), 1, "the new one is told");
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn what_a_former_hook_holds_may_set_a_hook_when_it_is_dropped() {
    let _alone = alone();
    watched(|| {
        let calls = Arc::new(Mutex::new(None));
        let slot = calls.clone();
        set_report_hook(holds(OnDrop(move || {
            *slot.lock().unwrap() = Some(count_reports());
        })));
        set_report_hook(|_| panic!("was replaced"));
        lose();
        let calls = calls.lock().unwrap().take().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_former_hook_whose_drop_panics_is_replaced_all_the_same() {
    let _alone = alone();
    watched(|| {
        set_report_hook(holds(OnDrop(|| panic!("on purpose"))));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let set = catch_unwind(AssertUnwindSafe(|| {
            set_report_hook(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            });
        }));
        assert!(set.is_err(), "the caller is told");
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        count_reports();
    });
}

/// Called for the last time, it is dropped by whoever called it.
#[test]
fn a_hook_that_replaces_itself_may_panic_in_its_drop() {
    let _alone = alone();
    watched(|| {
        let held = OnDrop(|| panic!("on purpose"));
        let calls = Arc::new(Mutex::new(None));
        let slot = calls.clone();
        set_report_hook(move |_| {
            let _ = &held;
            *slot.lock().unwrap() = Some(count_reports());
        });
        lose();
        let calls = calls.lock().unwrap().take().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 0, "it came for the former");
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

/// Also where the payload's own drop panics, and while the reporter unwinds.
#[test]
fn a_hook_may_panic_with_anything() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose, again");
        }
    }

    let _alone = alone();
    watched(|| {
        set_report_hook(|_| panic_any(Bomb));
        lose();
        let unwound = catch_unwind(|| {
            let _lost = OnDrop(lose);
            panic!("the first");
        });
        let payload = unwound.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the first"));
        let calls = count_reports();
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_hook_may_report() {
    let _alone = alone();
    watched(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        set_report_hook(move |_| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                lose();
            }
        });
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), 2, "it is told of its own");
    });
}

/// It is bypassed in the end.
#[test]
fn a_hook_that_always_reports_comes_to_an_end() {
    let _alone = alone();
    watched(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        set_report_hook(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            lose();
        });
        lose();
        let first = calls.swap(0, Ordering::SeqCst);
        assert!((2..100).contains(&first), "{first} calls");
        lose();
        assert_eq!(calls.load(Ordering::SeqCst), first, "and begins anew");
        count_reports();
    });
}
