//! Records spans and events, and draws those below a root as a tree.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::{set_global_default, with_default};
use tracing::{Event, Metadata, Span, Subscriber, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// A span or an event. Tests run side by side: each looks below its own root.
#[derive(Clone, Debug)]
struct Entry {
    within: Option<usize>,
    text: String,
    location: Option<String>,
    /// A span that is not closed.
    open: bool,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// The index of a span among the entries.
#[derive(Clone, Copy)]
struct Index(usize);

fn entries() -> MutexGuard<'static, Vec<Entry>> {
    ENTRIES.lock().unwrap()
}

fn add(within: Option<Index>, fields: Fields, open: bool) -> Index {
    let mut entries = entries();
    entries.push(Entry {
        within: within.map(|Index(index)| index),
        text: fields.text,
        location: fields.location,
        open,
    });
    Index(entries.len() - 1)
}

/// The fields as text, but for the location.
struct Fields {
    text: String,
    location: Option<String>,
}

impl Fields {
    fn of(name: &str) -> Fields {
        Fields {
            text: name.to_owned(),
            location: None,
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "location" => self.location = Some(format!("{value:?}")),
            "message" => write!(self.text, " {value:?}").unwrap(),
            name => write!(self.text, " {name}={value:?}").unwrap(),
        }
    }
}

/// Notes what it sees.
pub(crate) struct Recorder;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let within = span.parent().map(|parent| index(&parent.extensions()));
        let mut fields = Fields::of(span.name());
        attributes.record(&mut fields);
        span.extensions_mut().insert(add(within, fields, true));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let within = context.event_span(event);
        let within = within.map(|span| index(&span.extensions()));
        let mut fields = Fields::of(event.metadata().level().as_str());
        event.record(&mut fields);
        add(within, fields, false);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Index(index) = index(&context.span(&id).unwrap().extensions());
        entries()[index].open = false;
    }
}

fn index(extensions: &tracing_subscriber::registry::Extensions<'_>) -> Index {
    *extensions.get().unwrap()
}

/// Starts to record in the whole process, on threads of the blocking pool as well.
pub(crate) fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_global_default(Registry::default().with(Recorder)).unwrap());
}

/// Runs `f` on this thread with a recorder of its own, which sees only what is `wanted`.
pub(crate) fn with_filter(wanted: fn(&Metadata<'_>) -> bool, f: impl FnOnce()) {
    let recorder = Registry::default().with(Recorder).with(filter_fn(wanted));
    with_default(recorder, f);
}

/// The root span of a test.
pub(crate) struct Root {
    pub(crate) span: Span,
    index: usize,
}

impl Root {
    /// A new one, that has no parent.
    pub(crate) fn new() -> Root {
        record();
        Root::here()
    }

    /// The same with the recorder that is there.
    pub(crate) fn here() -> Root {
        let span = info_span!(parent: None, "root");
        let index = tracing::dispatcher::get_default(|dispatch| {
            let registry = dispatch.downcast_ref::<Registry>().unwrap();
            let span = registry.span(&span.id().unwrap()).unwrap();
            index(&span.extensions())
        });
        Root {
            span,
            index: index.0,
        }
    }

    /// The entries below the root, each with its depth. What is side by side is sorted by
    /// its text, with all below it. Their locations must be lines of the tests.
    pub(crate) fn tree(&self) -> Vec<String> {
        let entries = entries().clone();
        for at in (0..entries.len()).filter(|at| is_below(&entries, *at, self.index)) {
            let location = entries[at].location.iter();
            location.for_each(|location| assert!(location.starts_with("tests/tests/")));
        }
        below(&entries, self.index, 0).concat()
    }

    /// Asserts that this is the tree, each line indented by two spaces for each level, in
    /// the order of [`tree`](Self::tree).
    #[track_caller]
    pub(crate) fn is(&self, expected: &[&str]) {
        let tree = self.tree();
        assert_eq!(tree, expected, "\n{}\n", tree.join("\n"));
    }

    /// The spans below the root that are not closed.
    pub(crate) fn open(&self) -> Vec<String> {
        let entries = entries();
        let open = |&at: &usize| entries[at].open && is_below(&entries, at, self.index);
        let open = (0..entries.len()).filter(open);
        open.map(|at| entries[at].text.clone()).collect()
    }
}

fn below(entries: &[Entry], index: usize, depth: usize) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.within == Some(index) {
            let mut lines = vec![format!("{}{}", "  ".repeat(depth), entry.text)];
            lines.extend(below(entries, at, depth + 1).concat());
            found.push(lines);
        }
    }
    found.sort();
    found
}

fn is_below(entries: &[Entry], at: usize, root: usize) -> bool {
    let within = entries[at].within;
    within.is_some_and(|within| within == root || is_below(entries, within, root))
}

/// The events and spans that have this in their text.
pub(crate) fn texts(part: &str) -> Vec<String> {
    let entries = entries();
    let texts = entries.iter().map(|entry| &entry.text);
    texts.filter(|text| text.contains(part)).cloned().collect()
}
