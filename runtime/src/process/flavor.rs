//! The kind of runtime that an entry point builds.

use tokio::runtime::Builder;

/// One thread, unless several are asked for.
#[derive(Debug, Default)]
pub(crate) struct Flavor {
    pub(crate) multi_thread: bool,
    pub(crate) worker_threads: Option<usize>,
}

impl Flavor {
    pub(crate) fn builder(&self) -> Builder {
        let mut builder = match self.multi_thread {
            #[cfg(feature = "rt-multi-thread")]
            true => Builder::new_multi_thread(),
            _ => Builder::new_current_thread(),
        };
        builder.enable_all();
        if let Some(threads) = self.worker_threads {
            builder.worker_threads(threads);
        }
        builder
    }
}
