//! The checks, and the names that they look for, as data without syntax trees or spans.
//!
//! A macro sees names, not types. So a *rule* lists the names that tell enough by themselves, and the texts of
//! the report. A name is looked up as one string, a *key*:
//!
//! | key | what the code says |
//! | --- | --- |
//! | `tokio::task::spawn` | a function, by its path: from the crate on where an import tells it |
//! | `tokio::time::timeout(&mut)` | a function whose second argument is a `&mut` |
//! | `tokio::select!` | a macro, by its path |
//! | `select!(_=_=>_)` | a `select!` without a path, of branches like those of tokio |
//! | `.blocking_send(_)` | a method, with as many arguments |
//! | `signal(SignalKind::terminate)` | a function whose argument is what this one returns |
//!
//! To report one more name, add it to a row of `RULES`, or add a row.
//!
//! In the texts, `$name` is what the user wrote; `check/named.rs` lists the other words after a `$`.

/// A group of rules that `allow(…)` and `deny(…)` switch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Tasks that outlive the function.
    Detached,
    /// Calls that hold up the thread, and loops that never end.
    Blocking,
    /// Futures that are dropped before they have unwound.
    HardDrop,
    /// In the body of `#[taskscope::main]` alone: signals that the attribute handles.
    Signals,
}

/// Names that are reported wherever they are used.
pub(crate) struct Rule {
    pub(crate) check: Check,
    /// Patterns of keys, separated by spaces. In each part of a pattern, `|` separates
    /// alternatives, and `*` is any one name.
    names: &'static str,
    /// What is wrong.
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    /// What to write instead.
    pub(crate) help: &'static str,
}

/// The crates that the rules know, the standard library among them.
pub(crate) const CRATES: &[&str] = &[
    "tokio",
    "tokio_util",
    "std",
    "futures",
    "futures_executor",
    "futures_lite",
    "futures_util",
    "async_std",
    "async_io",
    "smol",
    "pollster",
    "taskscope",
];

/// The rule that a key falls under; the first one, if there are several.
pub(crate) fn find(key: &str) -> Option<&'static Rule> {
    let last = key.rsplit("::").next()?;
    RULES.iter().find(|rule| {
        // Asked of every path and method, of which hardly any is in a rule.
        let is_likely = rule.names.contains(last) || rule.names.ends_with('*');
        is_likely && rule.names.split(' ').any(|names| fits(names, key))
    })
}

/// The same for a method of what the function with the key `maker` has made, and the key.
pub(crate) fn find_built(maker: &str, method: &str) -> Option<(String, &'static Rule)> {
    let types = MAKERS.iter().filter(|(function, _)| *function == maker);
    let mut keys = types.map(|(_, ty)| format!("{ty}::{method}"));
    keys.find_map(|key| find(&key).map(|rule| (key, rule)))
}

fn fits(pattern: &str, key: &str) -> bool {
    let mut names = key.rsplit("::");
    let fits_next = |part: &str| {
        let name = names.next();
        name.is_some_and(|name| part == "*" || part.split('|').any(|choice| choice == name))
    };
    pattern.rsplit("::").all(fits_next) && names.next().is_none()
}

/// Replaces each `$word` of a rule's text by its value.
pub(crate) fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = text.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let (word, rest) = part.split_at(end.unwrap_or(part.len()));
        filled += &value(word);
        filled += rest;
    }
    filled
}

impl Check {
    pub(crate) const ALL: [Self; 4] = [
        Self::Detached,
        Self::Blocking,
        Self::HardDrop,
        Self::Signals,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Blocking => "blocking",
            Self::HardDrop => "hard_drop",
            Self::Signals => "signals",
        }
    }
}

const fn starts(names: &'static str, help: &'static str) -> Rule {
    Rule {
        check: Check::Detached,
        names,
        what: "`$name` starts work that may outlive this function",
        why: "a cancellation of this function neither reaches it nor waits for it",
        help,
    }
}

const fn blocks(names: &'static str, help: &'static str) -> Rule {
    Rule {
        check: Check::Blocking,
        names,
        what: "`$name` blocks the thread in async code",
        why: "no other task runs on this thread meanwhile, and no cancellation arrives",
        help,
    }
}

const fn drops(names: &'static str, what: &'static str, help: &'static str) -> Rule {
    Rule {
        check: Check::HardDrop,
        names,
        what,
        why: "a dropped future cannot await: its `defer!` blocks are lost, and its tasks stay behind",
        help,
    }
}

const fn signal(names: &'static str, what: &'static str) -> Rule {
    Rule {
        check: Check::Signals,
        names,
        what,
        why: "the signal also stops and then cancels `main`, so the code after this may not run",
        help: "wait for `$krate::stopping()` instead: the code after it has the time of \
               `#[$krate::main(drain = …)]`",
    }
}

const IS_LATE: &str = "`$name` drops a late future in the middle";
const RACE_IT: &str = "write `$krate::race! { value = $second => …, () = tokio::time::$sleep($first) => … }`, \
                       which leaves the future as it is";
const LOSE: &str = "`$name` drops the branches that lose in the middle";
const AWAIT_IT: &str = "await the future here$future\n  = help: code that cannot await, inside of \
                        `$krate::blocking(|| …)`, calls `$krate::block_on(…)`";

/// Functions, and what the chains of methods make that begin with them.
const MAKERS: &[(&str, &str)] = &[
    ("std::fs::OpenOptions::new", "std::fs::OpenOptions"),
    ("std::fs::File::options", "std::fs::OpenOptions"),
    ("std::fs::DirBuilder::new", "std::fs::DirBuilder"),
    ("std::process::Command::new", "std::process::Command"),
    ("std::process::Command::new", "std::process::Child"),
];

static RULES: &[Rule] = &[
    // Tasks and threads that nobody waits for.
    starts(
        "tokio|smol::spawn tokio|async_std::task::spawn task::spawn",
        "write `$g.spawn($args)`$in_group, or `$g.spawn_scoped($args)` if it borrows",
    ),
    starts(
        "tokio|async_std::task::spawn_local task::spawn_local",
        "write `$g.spawn_local($args)`$in_local_group",
    ),
    starts(
        "tokio|async_std::task::spawn_blocking task::spawn_blocking smol::unblock \
         std::thread::spawn thread::spawn",
        "write `$g.spawn_blocking($args)`$in_group, or `$krate::blocking($args).await` to wait for it here",
    ),
    Rule {
        what: "`$name` makes a set of tasks that this function may leave behind",
        why: "a set that is dropped aborts its tasks without their cleanup, or lets them go on, and \
              waits for none",
        ..starts(
            "tokio::task::JoinSet::new|default tokio_util::task::JoinMap|TaskTracker::new|default \
             task::JoinSet|JoinMap|TaskTracker::new|default JoinSet|JoinMap|TaskTracker::new|default",
            "write `$g.spawn(…)`$in_group; a `TaskSet` of the handles gives the results as they come",
        )
    },
    // Calls that hold up the thread.
    blocks(
        "std::thread::sleep thread::sleep",
        "write `tokio::time::sleep($args).await`",
    ),
    // A user's own function of that name, `crate::ui::block_on`, is no executor's.
    blocks(
        "tokio|async_std|futures|futures_lite|smol::*::block_on tokio::*::*::block_on \
         smol|pollster|async_io|futures_executor|futures_lite|taskscope::block_on \
         runtime::Handle|Runtime::block_on executor|task|Handle|Runtime|LocalSet::block_on",
        AWAIT_IT,
    ),
    // `Runtime`, `Handle` and executors; with two arguments, a `LocalSet`.
    blocks(".block_on(_)|.block_on(_,_)", AWAIT_IT),
    blocks(
        ".blocking_recv()|.blocking_lock()|.blocking_lock_owned()|.blocking_read()|\
         .blocking_write()|.blocking_send(_)|.blocking_recv_many(_,_)",
        "write `$receiver.$async_function($args).await`",
    ),
    // It keeps the task where it is: what runs in there belongs to its scope, and is not
    // dropped when that is cancelled.
    Rule {
        why: "no cancellation reaches what runs in it, and async code that an executor runs in it \
              waits forever once the scope is cancelled",
        ..blocks(
            "tokio::task::block_in_place task::block_in_place",
            "write `$krate::blocking($args).await`, with values that the closure owns, and \
             `$krate::block_on(…)` for async code in it",
        )
    },
    blocks(
        "std::fs::canonicalize|copy|create_dir|create_dir_all|hard_link|metadata|read|read_dir|\
         read_link|read_to_string|remove_dir|remove_dir_all|remove_file|rename|set_permissions|\
         symlink_metadata|try_exists|write",
        "write `$krate::blocking(move || std::fs::$function($args)).await`, with values that the closure \
         owns, or `tokio::fs::$function($args).await`, whose work goes on after a cancellation",
    ),
    blocks(
        "std::fs::exists",
        "write `$krate::blocking(move || std::fs::exists($args)).await`, with values that the closure \
         owns, or `tokio::fs::try_exists($args).await`, whose work goes on after a cancellation",
    ),
    blocks(
        "std::fs::*",
        "write `$krate::blocking(move || std::fs::$function($args)).await`, with values that the closure owns",
    ),
    blocks(
        "std::fs::File::open|create|create_new",
        "move the work into `$krate::blocking(|| …).await`, or write \
         `tokio::fs::File::$function($args).await`, whose methods are awaited",
    ),
    blocks(
        "std::fs::OpenOptions::open std::fs::DirBuilder::create",
        "move the work into `$krate::blocking(|| …).await`, or use `tokio::fs::$type`, whose \
         `$function` is awaited",
    ),
    blocks(
        "std::process::Command::output|status std::process::Child::wait|wait_with_output",
        "use `tokio::process::Command`, whose `output`, `status` and `wait` are awaited, or move the \
         work into `$krate::blocking(|| …).await`",
    ),
    blocks(
        "std::net::TcpListener|UdpSocket::bind std::net::TcpStream::connect",
        "write `tokio::net::$type::$function($args).await`",
    ),
    blocks(
        "std::net::TcpStream::connect_timeout",
        "write `$krate::timeout($second, tokio::net::TcpStream::connect($first)).await`",
    ),
    blocks(
        "std::net::ToSocketAddrs::to_socket_addrs",
        "write `tokio::net::lookup_host($args).await`",
    ),
    // Futures that are dropped before they have unwound.
    drops(
        "tokio::time::timeout(&mut)|timeout_at(&mut) time::timeout(&mut)|timeout_at(&mut)",
        IS_LATE,
        RACE_IT,
    ),
    drops(
        "tokio::time::timeout|timeout_at time::timeout|timeout_at",
        IS_LATE,
        "write `$krate::$function($args)`, whose error is `Cancelled`",
    ),
    Rule {
        why: "past the limit the future has been left, and whoever owns it cannot poll it again",
        ..drops(
            "taskscope::timeout(&mut)|timeout_at(&mut) taskscope::*::timeout(&mut)|timeout_at(&mut)",
            "`$function` on a future that is only lent to it",
            RACE_IT,
        )
    },
    drops(
        "futures|futures_util::future::select_all|select_ok future::select_all|select_ok",
        "`$name` drops the futures that lose in the middle",
        "write `$krate::race! { … }`, or spawn them in a `task_group!` and take the first \
         result of their `TaskSet`: `tasks.next().await`",
    ),
    drops(
        ".run_until_cancelled(_)|.run_until_cancelled_owned(_)",
        "`$name` drops its future in the middle",
        "write `$krate::Scope::new().cancel_when($receiver.cancelled()).run($first).await`, which \
         returns a `Result<_, Cancelled>` in place of an `Option`",
    ),
    drops(
        "tokio::select! select!(_=_=>_)",
        LOSE,
        "write `$krate::race! { … }`: it takes the same branches",
    ),
    drops(
        "futures|futures_util::select!|select_biased!",
        LOSE,
        "write `$krate::race! { … }`: it takes the same branches, and `else =>` for `complete =>`",
    ),
    drops(
        "tokio|futures|futures_util::try_join!",
        "`$name` drops the other branches in the middle when one fails",
        "write `$krate::try_join!($args)`",
    ),
    // Signals that `#[taskscope::main]` handles.
    signal(
        "tokio::signal::ctrl_c signal::ctrl_c tokio::signal::windows::ctrl_c \
         signal::windows::ctrl_c windows::ctrl_c signal(SignalKind::interrupt)",
        "`$name` in `#[$krate::main]`, which handles SIGINT itself",
    ),
    signal(
        "signal(SignalKind::terminate)",
        "`$name` in `#[$krate::main]`, which handles SIGTERM itself",
    ),
];

#[cfg(test)]
mod tests {
    use super::{RULES, fill, find, find_built, fits};

    #[test]
    fn a_pattern_fits_whole_keys() {
        for key in ["a::b::x", "c::b::y"] {
            assert!(fits("a|c::*::x|y", key), "{key}");
        }
        for key in ["a::x", "b::b::x", "a::b::z", "z::a::b::x", "a::b::x!"] {
            assert!(!fits("a|c::*::x|y", key), "{key}");
        }
    }

    #[test]
    fn the_first_rule_counts() {
        let check = |key| find(key).map(|rule| rule.check.name());
        assert_eq!(check("tokio::task::spawn"), Some("detached"));
        assert_eq!(check(".blocking_recv_many(_,_)"), Some("blocking"));
        assert_eq!(check("spawn"), None);
        assert_eq!(check("std::fs::OpenOptions::new"), None);
        assert!(find("std::fs::read").unwrap().help.contains("tokio::fs"));
        assert!(
            !find("std::fs::soft_link")
                .unwrap()
                .help
                .contains("tokio::fs")
        );
        let (key, _) = find_built("std::process::Command::new", "wait").unwrap();
        assert_eq!(key, "std::process::Child::wait");
    }

    #[test]
    fn every_text_can_be_filled() {
        const WORDS: &str = "name function async_function sleep type receiver args first second future \
                             krate g in_group in_local_group";
        for rule in RULES {
            for text in [rule.what, rule.help] {
                let filled = fill(text, |word| {
                    assert!(
                        WORDS.split(' ').any(|known| known == word),
                        "{word}: {text}"
                    );
                    "-".to_owned()
                });
                assert!(!filled.contains('$'), "{filled}");
            }
        }
        assert_eq!(fill("$a.$b($c)", |word| word.to_uppercase()), "A.B(C)");
    }
}
