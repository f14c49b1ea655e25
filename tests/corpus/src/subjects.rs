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

// One whose tests are left out.
const fn library(name: &'static str, version: &'static str) -> Subject {
    Subject {
        targets: LIB,
        ..subject(name, version)
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
    // The tests of these need servers, or much else.
    library("tokio-postgres", "0.7.18"),
    library("russh-sftp", "2.4.0"),
    Subject {
        features: &["--features", "tokio"],
        ..library("suppaftp", "7.1.0")
    },
    Subject {
        features: &["--features", "tokio-comp,connection-manager"],
        ..library("redis", "1.8.1")
    },
    Subject {
        features: &["--features", "full"],
        targets: ALL,
        tests: Some(LIB),
        ..subject("hyper", "1.12.0")
    },
    Subject {
        features: &["--features", "stream,unstable"],
        ..library("h2", "0.4.20")
    },
    library("async-nats", "0.51.0"),
    Subject {
        features: &[
            "--features",
            "i-all,dynamic-pool,subscriber-client,sentinel-client,monitor",
        ],
        ..library("fred", "10.1.0")
    },
    Subject {
        features: &["--features", "full"],
        targets: ALL,
        tests: Some(ALL),
        ..subject("async_zip", "0.0.19")
    },
];
