//! The crates.

/// A published crate with much async code.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Arguments of cargo that select its features.
    pub(crate) features: &'static [&'static str],
    /// Arguments of `cargo check` that select what is there to be compiled.
    pub(crate) targets: &'static [&'static str],
    /// Arguments of `cargo test` that select what runs offline, if anything does.
    pub(crate) tests: Option<&'static [&'static str]>,
    /// Functions that cannot compile with the attribute, and why.
    pub(crate) known: &'static [(&'static str, &'static str)],
}

const ALL: &[&str] = &["--lib", "--tests"];
const LIB: &[&str] = &["--lib"];

const fn subject(name: &'static str, version: &'static str) -> Subject {
    Subject {
        name,
        version,
        features: &[],
        targets: &["--lib", "--bins", "--tests"],
        tests: None,
        known: &[],
    }
}

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        tests: Some(ALL),
        ..subject("mini-redis", "0.4.1")
    },
    Subject {
        tests: Some(ALL),
        ..subject("astral-tokio-tar", "0.6.4")
    },
    Subject {
        // The archives of the other tests are not published.
        targets: &["--lib", "--test", "entry"],
        tests: Some(&["--lib", "--test", "entry"]),
        ..subject("tokio-tar", "0.3.1")
    },
    Subject {
        features: &["--features", "full"],
        tests: Some(ALL),
        ..subject("async_zip", "0.0.18")
    },
    Subject {
        features: &["--no-default-features", "--features", "runtime-tokio"],
        tests: Some(LIB),
        ..subject("async-imap", "0.11.3")
    },
    Subject {
        tests: Some(ALL),
        ..subject("deadpool", "0.13.1")
    },
    Subject {
        tests: Some(LIB),
        ..subject("object_store", "0.12.5")
    },
    Subject {
        features: &["--features", "tokio-comp,connection-manager"],
        tests: Some(LIB),
        ..subject("redis", "1.8.1")
    },
    Subject {
        tests: Some(LIB),
        ..subject("tokio-postgres", "0.7.18")
    },
    Subject {
        tests: Some(LIB),
        ..subject("russh-sftp", "2.4.0")
    },
    Subject {
        features: &["--features", "full"],
        tests: Some(LIB),
        ..subject("hyper", "1.12.0")
    },
    Subject {
        tests: Some(LIB),
        ..subject("h2", "0.4.20")
    },
    Subject {
        features: &["--features", "tokio"],
        ..subject("suppaftp", "7.1.0")
    },
    subject("async-nats", "0.45.0"),
    subject("fred", "10.1.0"),
];
