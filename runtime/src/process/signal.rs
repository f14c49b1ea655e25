//! The signals that ask a process to end, and what they do while nobody listens.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

/// What asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    #[cfg(unix)]
    Terminate,
}

impl Signal {
    /// The exit code that a shell shows for it.
    pub(crate) fn exit_code(self) -> i32 {
        match self {
            Signal::Interrupt => 130,
            #[cfg(unix)]
            Signal::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            #[cfg(unix)]
            Signal::Terminate => "SIGTERM",
        })
    }
}

#[cfg(unix)]
pub(crate) use unix::Signals;

#[cfg(unix)]
mod unix {
    use super::{Context, Poll, Signal, io};

    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock};

    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::flag::register_conditional_default;
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    /// SIGINT, SIGTERM and SIGUSR1, while it lives.
    pub(crate) struct Signals {
        show: Stream,
        interrupt: Stream,
        terminate: Stream,
        _listener: Listener,
    }

    impl Signals {
        /// Must be called in a runtime.
        pub(crate) fn listen() -> io::Result<Signals> {
            Ok(Signals {
                _listener: Listener::add()?,
                show: signal(SignalKind::user_defined1())?,
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
            if let Poll::Ready(Some(())) = self.interrupt.poll_recv(cx) {
                return Poll::Ready(Signal::Interrupt);
            }
            if let Poll::Ready(Some(())) = self.terminate.poll_recv(cx) {
                return Poll::Ready(Signal::Terminate);
            }
            Poll::Pending
        }

        /// Whether it is asked what runs.
        pub(crate) fn poll_show(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            match self.show.poll_recv(cx) {
                Poll::Ready(Some(())) => Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        }
    }

    /// One who listens. A handler, once installed, stays: while nobody listens
    /// it does what the system does by default.
    struct Listener;

    #[derive(Default)]
    struct Listeners {
        count: Mutex<usize>,
        nobody: Arc<AtomicBool>,
        installed: OnceLock<()>,
    }

    fn listeners() -> &'static Listeners {
        static LISTENERS: OnceLock<Listeners> = OnceLock::new();
        LISTENERS.get_or_init(Listeners::default)
    }

    impl Listener {
        fn add() -> io::Result<Listener> {
            let all = listeners();
            let mut count = lock(&all.count);
            if all.installed.get().is_none() {
                for kind in [SIGINT, SIGTERM, SIGUSR1] {
                    register_conditional_default(kind, all.nobody.clone())?;
                }
                all.installed.get_or_init(|| ());
            }
            *count += 1;
            // SeqCst: read by a signal handler, with nothing to pair with.
            all.nobody.store(false, Ordering::SeqCst);
            Ok(Listener)
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            let all = listeners();
            let mut count = lock(&all.count);
            *count -= 1;
            all.nobody.store(*count == 0, Ordering::SeqCst);
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        match mutex.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

#[cfg(not(unix))]
pub(crate) use other::Signals;

#[cfg(not(unix))]
mod other {
    use super::{Context, Poll, Signal, io};

    use std::future::Future;
    use std::pin::Pin;

    type CtrlC = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    /// Ctrl-C, while it lives.
    pub(crate) struct Signals(CtrlC);

    impl Signals {
        /// Must be called in a runtime.
        pub(crate) fn listen() -> io::Result<Signals> {
            Ok(Signals(Box::pin(tokio::signal::ctrl_c())))
        }

        pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
            let Poll::Ready(result) = self.0.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            self.0 = match result {
                Ok(()) => Box::pin(tokio::signal::ctrl_c()),
                Err(_) => Box::pin(std::future::pending()),
            };
            if result.is_ok() {
                Poll::Ready(Signal::Interrupt)
            } else {
                Poll::Pending
            }
        }

        /// There is no signal for it.
        pub(crate) fn poll_show(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
}
