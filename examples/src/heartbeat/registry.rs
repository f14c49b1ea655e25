//! Who holds what, and until when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One resource that is held.
#[derive(Debug)]
struct Lease {
    name: &'static str,
    until: Instant,
}

/// What is held at the moment.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Vec<Lease>>);

impl Registry {
    fn leases(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds `name` from now on.
    pub(super) fn take(&self, name: &'static str, ttl: Duration) {
        let until = Instant::now() + ttl;
        self.leases().push(Lease { name, until });
    }

    /// Holds it for longer, if it is still held.
    pub(super) fn renew(&self, name: &str, ttl: Duration) {
        let until = Instant::now() + ttl;
        for lease in self.leases().iter_mut().filter(|lease| lease.name == name) {
            lease.until = until;
        }
    }

    /// Throws out what was not renewed in time.
    pub(super) fn expire(&self) -> Vec<&'static str> {
        let now = Instant::now();
        let mut leases = self.leases();
        let expired = leases.extract_if(.., |lease| lease.until <= now);
        expired.map(|lease| lease.name).collect()
    }

    /// Gives it back; false if it has expired.
    pub(super) fn release(&self, name: &str) -> bool {
        let mut leases = self.leases();
        let before = leases.len();
        leases.retain(|lease| lease.name != name);
        leases.len() < before
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.leases().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[taskscope::test(start_paused = true)]
    async fn what_is_not_renewed_expires() {
        let (registry, second) = (Registry::default(), Duration::from_secs(1));
        registry.take("renewed", 2 * second);
        registry.take("forgotten", 2 * second);
        tokio::time::sleep(second).await;
        registry.renew("renewed", 2 * second);
        assert!(registry.expire().is_empty());
        tokio::time::sleep(second).await;
        assert_eq!(registry.expire(), ["forgotten"]);
        assert!(!registry.release("forgotten"));
        assert!(registry.release("renewed"));
        assert_eq!(registry.len(), 0);
    }
}
