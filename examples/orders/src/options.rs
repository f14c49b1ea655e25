//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A small order service.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// The database file, made if it is not there.
    #[arg(long, default_value = "orders.db")]
    pub(crate) database: PathBuf,

    /// How many deliveries run at the same time.
    #[arg(long, default_value = "8")]
    workers: NonZeroUsize,

    /// The pause in milliseconds before a failed delivery is tried again; doubled each time.
    #[arg(long, default_value_t = 200)]
    retry_ms: u64,

    /// How often, in milliseconds, to look for abandoned carts.
    #[arg(long, default_value_t = 10_000)]
    expiry_ms: u64,

    /// When a cart counts as abandoned, in milliseconds.
    #[arg(long, default_value_t = 3_600_000)]
    cart_age_ms: u64,
}

/// How deliveries are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) workers: usize,
    pub(crate) pause: Duration,
}

/// When carts expire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carts {
    pub(crate) every: Duration,
    pub(crate) age: Duration,
}

impl Options {
    pub(crate) fn retries(&self) -> Retries {
        Retries {
            workers: self.workers.get(),
            pause: Duration::from_millis(self.retry_ms),
        }
    }

    pub(crate) fn carts(&self) -> Carts {
        Carts {
            every: Duration::from_millis(self.expiry_ms.max(1)),
            age: Duration::from_millis(self.cart_age_ms),
        }
    }
}
