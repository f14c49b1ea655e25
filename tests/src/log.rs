use std::sync::{Arc, Mutex};

/// What ran, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one entry.
    pub fn add(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    /// All entries so far.
    pub fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many entries are exactly `entry`.
    pub fn count(&self, entry: &str) -> usize {
        self.entries().iter().filter(|e| *e == entry).count()
    }

    /// Whether `entry` is there.
    pub fn has(&self, entry: &str) -> bool {
        self.count(entry) > 0
    }

    /// Where `entry` stands; it must be there exactly once.
    #[track_caller]
    pub fn at(&self, entry: &str) -> usize {
        let entries = self.entries();
        let mut places = entries.iter().enumerate().filter(|(_, e)| *e == entry);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => place,
            _ => panic!("expected `{entry}` exactly once in {entries:?}"),
        }
    }

    /// The log is exactly this.
    #[track_caller]
    pub fn is(&self, expected: &[&str]) {
        assert_eq!(self.entries(), expected);
    }

    /// A value that adds `drop NAME` when it is dropped.
    pub fn mark(&self, name: &str) -> DropMark {
        DropMark {
            log: self.clone(),
            name: name.to_owned(),
        }
    }
}

/// Writes its name when it is dropped, see [`Log::mark`].
#[derive(Debug)]
pub struct DropMark {
    log: Log,
    name: String,
}

impl Drop for DropMark {
    fn drop(&mut self) {
        self.log.add(format!("drop {}", self.name));
    }
}
