//! `treehash DIR`: the SHA-256 of every file below a directory, as `sha256sum -c` reads it.
//!
//! ```text
//! treehash src -o SHA256SUMS && sha256sum -c --quiet SHA256SUMS
//! ```
//!
//! What structure buys here: Ctrl-C, SIGTERM, the time limit and the first file that cannot be read all end
//! the same way. Every task leaves, the unfinished manifest is removed, then the program says what was done
//! and exits. None of the code that hashes knows about any of it.
//!
//! Standard output, where there is no `-o`, gets nothing before all of it is known. What is written there
//! cannot be taken back, so that a signal at the very end may cut it; the exit code says so.
//!
//! This file is the spine: the scope, what cancels it, and the exit code. The parts are in
//! `src/treehash`.

#[cfg(unix)]
mod unix {
    use std::io;
    use std::process::ExitCode;
    use std::sync::{Arc, OnceLock};

    use clap::Parser;
    use taskscope::{Cancelled, Reason, Scope};
    use tokio::runtime::Runtime;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use taskscope_examples::treehash::args::Args;
    use taskscope_examples::treehash::error::{Failed, say};
    use taskscope_examples::treehash::progress::Progress;
    use taskscope_examples::treehash::treehash;

    /// How it ended.
    enum Outcome {
        Written,
        Failed(Failed),
        TimedOut,
        Interrupted(SignalKind),
    }

    pub(crate) fn main() -> ExitCode {
        let args = Args::parse();
        let progress = Arc::new(Progress::new());
        match run(&args, &progress) {
            Ok(outcome) => report(&outcome, &progress),
            Err(error) => {
                say(error);
                ExitCode::FAILURE
            }
        }
    }

    fn run(args: &Args, progress: &Arc<Progress>) -> io::Result<Outcome> {
        let runtime = Runtime::new()?;
        let outcome = runtime.block_on(scoped(args, progress));
        // Not dropped: that would wait for a read that was abandoned, on a network drive perhaps for ever.
        runtime.shutdown_background();
        outcome
    }

    /// The work, in a scope that signals and the time limit cancel.
    async fn scoped(args: &Args, progress: &Arc<Progress>) -> io::Result<Outcome> {
        // Installed before any file is created: from here on no signal ends the process on the spot.
        let mut signals = Signals::install()?;
        let received = OnceLock::new();
        let mut scope = Scope::new().name("treehash").cancel_when(async {
            let _ = received.set(signals.next().await);
        });
        if let Some(timeout) = args.timeout {
            scope = scope.timeout(timeout);
        }
        let ended = scope.run(treehash(args, progress)).await;
        Ok(outcome(ended, received.get()))
    }

    fn outcome(
        ended: Result<Result<(), Failed>, Cancelled>,
        received: Option<&SignalKind>,
    ) -> Outcome {
        match (ended, received) {
            (Ok(Ok(())), _) => Outcome::Written,
            (Ok(Err(failed)), _) => Outcome::Failed(failed),
            (Err(cancelled), Some(kind)) if !matches!(cancelled.reason(), Reason::Deadline) => {
                Outcome::Interrupted(*kind)
            }
            (Err(_), _) => Outcome::TimedOut,
        }
    }

    /// Says how it ended, and how far it was.
    fn report(outcome: &Outcome, progress: &Progress) -> ExitCode {
        progress.clear();
        let (what, code) = match outcome {
            Outcome::Written => return ExitCode::SUCCESS,
            Outcome::Failed(failed) => {
                for error in failed.errors() {
                    say(error);
                }
                ("failed", 1)
            }
            Outcome::TimedOut => ("timed out", 124),
            Outcome::Interrupted(kind) if *kind == SignalKind::terminate() => ("terminated", 143),
            Outcome::Interrupted(_) => ("interrupted", 130),
        };
        say(format_args!("{what}: {}", progress.summary()));
        ExitCode::from(code)
    }

    /// The signals that ask a program to end.
    struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        fn install() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        async fn next(&mut self) -> SignalKind {
            // Both are left at the same await and hold nothing: whichever loses may simply be dropped.
            tokio::select! {
                _ = self.interrupt.recv() => SignalKind::interrupt(),
                _ = self.terminate.recv() => SignalKind::terminate(),
            }
        }
    }
}

#[cfg(unix)]
use unix::main as run;

fn main() -> std::process::ExitCode {
    run()
}

#[cfg(not(unix))]
fn run() -> std::process::ExitCode {
    eprintln!("treehash: runs on Unix only");
    std::process::ExitCode::FAILURE
}
