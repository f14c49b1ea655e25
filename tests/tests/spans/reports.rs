//! Where a report goes: to the log, to standard error, to the hook.
//!
//! Standard error belongs to the process, so each case runs this test program again, for
//! one test alone, and reads what it wrote.

use std::future::pending;

use taskscope::{cancellable, defer};
use taskscope_tests::{Driven, test_again};
use tokio::task::yield_now;
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::Panicking;
use crate::recorder::{Recorder, texts};

/// Names the case that the inner run is for.
const CASE: &str = "TASKSCOPE_TESTS_CASE";

/// Causes one report.
fn lose() {
    #[cancellable]
    async fn armed() {
        defer! { yield_now().await; }
        pending::<()>().await;
    }

    Driven::new(armed()).pending();
}

/// Sees every event, and reads none.
struct Counting;

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {}
}

/// Lets a layer know of no event, once it has been made.
struct Refusing;

impl<S: Subscriber> Layer<S> for Refusing {
    fn event_enabled(&self, _: &Event<'_>, _: Context<'_, S>) -> bool {
        false
    }
}

fn of_users(metadata: &Metadata<'_>) -> bool {
    metadata.target() != "taskscope"
}

/// In the outer run, returns what the inner run of the same test wrote for `case`, by the
/// events it recorded and the lines on standard error that `taskscope:` begins.
fn written(test: &str, case: &str) -> (usize, usize) {
    let mut inner = test_again(test);
    inner.args(["--nocapture", "--test-threads=1"]);
    let output = inner.env(CASE, case).output().unwrap();
    let (out, errors) = (output.stdout, output.stderr);
    let (out, errors) = (
        String::from_utf8(out).unwrap(),
        String::from_utf8(errors).unwrap(),
    );
    assert!(output.status.success(), "{out}{errors}");
    let count = |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).count();
    (
        count(&out, "recorded: ERROR lost cleanup"),
        count(&errors, "taskscope: lost cleanup"),
    )
}

fn tell_recorded() {
    for text in texts("lost cleanup") {
        println!("\nrecorded: {text}");
    }
}

fn run(case: &str) {
    let registry = Registry::default;
    match case {
        "taken" => with_default(registry().with(Recorder), lose),
        "hooked" => {
            taskscope::set_report_hook(|report| eprintln!("taskscope: {report}"));
            with_default(registry().with(Recorder), lose);
        }
        "none" => lose(),
        "filtered" => {
            let recorder = registry().with(Recorder).with(filter_fn(of_users));
            with_default(recorder, lose);
        }
        "filtered_for_one" => {
            let recorder = Recorder.with_filter(filter_fn(of_users));
            with_default(registry().with(recorder).with(Counting), lose);
        }
        "refused" => with_default(registry().with(Recorder).with(Refusing), lose),
        "panics" => with_default(Panicking, lose),
        other => panic!("no such case: {other}"),
    }
    tell_recorded();
}

/// For each case: how many events were recorded, and how many lines written.
#[test]
fn a_report_is_written_once_and_never_lost() {
    if let Ok(case) = std::env::var(CASE) {
        run(&case);
        return;
    }
    let cases = [
        ("taken", (1, 0)),
        ("hooked", (1, 1)),
        ("none", (0, 1)),
        ("filtered", (0, 1)),
        ("filtered_for_one", (0, 1)),
        ("refused", (0, 1)),
        ("panics", (0, 1)),
    ];
    for (case, expected) in cases {
        let test = "reports::a_report_is_written_once_and_never_lost";
        assert_eq!(written(test, case), expected, "{case}");
    }
}
