//! [blocking]: calls that hold up the thread.

use super::{Call, Check, Finding};
use crate::syntax::own::CRATES;
use crate::syntax::text::short;
use syn::{Expr, ExprMethodCall};

const WHY: &str = "no other task runs on this thread meanwhile, and no cancellation arrives";

/// A function that is known by its path to block.
pub(super) fn check_path(path: &[&str], call: &Call) -> Option<Finding> {
    // Asked of every call: what a message needs is made for few.
    if !matches!(
        path,
        ["std", ..] | [.., "sleep" | "block_on" | "block_in_place"]
    ) {
        return None;
    }
    let (args, krate) = (call.args(), call.krate);
    let help = match path {
        ["std", "thread", "sleep"] | ["thread", "sleep"] => {
            format!("write `tokio::time::sleep({args}).await`")
        }
        [.., "block_on"] if blocks_on(path) => {
            await_instead(call.args.and_then(|args| args.last()), krate)
        }
        ["tokio", "task", "block_in_place"] | ["task", "block_in_place"] => {
            return Some(in_place(call));
        }
        ["std", "fs", function] => file_help(function, call),
        [
            "std",
            "fs",
            "File",
            function @ ("open" | "create" | "create_new"),
        ] => format!(
            "move the work into `{krate}::blocking(|| …).await`, or write \
             `tokio::fs::File::{function}({args}).await`, whose methods are awaited"
        ),
        ["std", "fs", ty @ "OpenOptions", method @ "open"]
        | ["std", "fs", ty @ "DirBuilder", method @ "create"] => {
            file_builder_help(ty, method, krate)
        }
        ["std", "process", "Command", "output" | "status"]
        | ["std", "process", "Child", "wait" | "wait_with_output"] => process_help(krate),
        [
            "std",
            "net",
            ty @ ("TcpListener" | "UdpSocket"),
            function @ "bind",
        ]
        | ["std", "net", ty @ "TcpStream", function @ "connect"] => {
            format!("write `tokio::net::{ty}::{function}({args}).await`")
        }
        ["std", "net", "TcpStream", "connect_timeout"] => {
            let (address, limit) = (call.arg(0), call.arg(1));
            format!(
                "write `{krate}::timeout({limit}, tokio::net::TcpStream::connect({address})).await`"
            )
        }
        ["std", "net", "ToSocketAddrs", "to_socket_addrs"] => {
            format!("write `tokio::net::lookup_host({args}).await`")
        }
        _ => return None,
    };
    Some(finding(&call.name(), help))
}

/// A method that blocks, of what the function at `path` has made: `std::fs::OpenOptions::new()`
/// itself only makes a value.
pub(super) fn check_built(path: &[&str], call: &ExprMethodCall, krate: &str) -> Option<Finding> {
    let method = call.method.to_string();
    let (ty, help) = match (path, method.as_str()) {
        (["std", "fs", "OpenOptions", "new"] | ["std", "fs", "File", "options"], "open") => (
            "std::fs::OpenOptions",
            file_builder_help("OpenOptions", "open", krate),
        ),
        (["std", "fs", "DirBuilder", "new"], "create") => (
            "std::fs::DirBuilder",
            file_builder_help("DirBuilder", "create", krate),
        ),
        (["std", "process", "Command", "new"], "output" | "status") => {
            ("std::process::Command", process_help(krate))
        }
        (["std", "process", "Command", "new"], "wait" | "wait_with_output") => {
            ("std::process::Child", process_help(krate))
        }
        _ => return None,
    };
    Some(finding(&format!("{ty}::{method}"), help))
}

/// A method whose name says that it blocks.
pub(super) fn check_method(call: &ExprMethodCall, krate: &str) -> Option<Finding> {
    let method = call.method.to_string();
    if !method.starts_with("block") {
        return None;
    }
    let receiver = short(&call.receiver);
    let args = short(&call.args);
    let help = match (method.as_str(), call.args.len()) {
        ("blocking_recv" | "blocking_lock" | "blocking_read" | "blocking_write", 0)
        | ("blocking_lock_owned", 0)
        | ("blocking_send", 1)
        | ("blocking_recv_many", 2) => {
            let method = method.strip_prefix("blocking_")?;
            format!("write `{receiver}.{method}({args}).await`")
        }
        // `Runtime`, `Handle` and executors; with two arguments, a `LocalSet`.
        ("block_on", 1 | 2) => await_instead(call.args.last(), krate),
        _ => return None,
    };
    Some(finding(&method, help))
}

fn finding(name: &str, help: String) -> Finding {
    Finding {
        check: Check::Blocking,
        what: format!("`{name}` blocks the thread in async code"),
        why: WHY,
        help,
    }
}

// A user's own function of that name, `crate::ui::block_on`, is no executor's.
fn blocks_on(path: &[&str]) -> bool {
    const TELLING: &[&str] = &["executor", "task", "Handle", "Runtime", "LocalSet"];
    match path {
        [first, .., _] if CRATES.contains(first) => true,
        [last, _] => TELLING.contains(last),
        ["runtime", "Handle" | "Runtime", _] => true,
        _ => false,
    }
}

// What to do with the future of a `block_on`.
fn await_instead(future: Option<&Expr>, krate: &str) -> String {
    let first = match future {
        Some(future @ (Expr::Path(_) | Expr::Call(_) | Expr::MethodCall(_))) => {
            format!("await the future here: `{}.await`", short(future))
        }
        _ => "await the future here, with `.await`: this code is async already".to_owned(),
    };
    format!(
        "{first}\n  = help: code that cannot await, inside of `{krate}::blocking(|| …)`, calls `{krate}::block_on(…)`"
    )
}

// `block_in_place` keeps the task where it is: what runs in there belongs to its scope, and
// is not dropped when that is cancelled.
fn in_place(call: &Call) -> Finding {
    let (name, args, krate) = (call.name(), call.args(), call.krate);
    Finding {
        check: Check::Blocking,
        what: format!("`{name}` blocks the thread in async code"),
        why: "no cancellation reaches what runs in it, and async code that an executor runs in it \
              waits forever once the scope is cancelled",
        help: format!(
            "write `{krate}::blocking({args}).await`, with values that the closure owns, and \
             `{krate}::block_on(…)` for async code in it"
        ),
    }
}

fn file_builder_help(ty: &str, method: &str, krate: &str) -> String {
    format!(
        "move the work into `{krate}::blocking(|| …).await`, or use `tokio::fs::{ty}`, whose \
         `{method}` is awaited"
    )
}

fn process_help(krate: &str) -> String {
    format!(
        "use `tokio::process::Command`, whose `output`, `status` and `wait` are awaited, or move the \
         work into `{krate}::blocking(|| …).await`"
    )
}

/// The functions of `std::fs` that `tokio::fs` has, too.
const FILES: &[&str] = &[
    "canonicalize",
    "copy",
    "create_dir",
    "create_dir_all",
    "hard_link",
    "metadata",
    "read",
    "read_dir",
    "read_link",
    "read_to_string",
    "remove_dir",
    "remove_dir_all",
    "remove_file",
    "rename",
    "set_permissions",
    "symlink_metadata",
    "try_exists",
    "write",
];

fn file_help(function: &str, call: &Call) -> String {
    let (args, krate) = (call.args(), call.krate);
    let name = if function == "exists" {
        "try_exists"
    } else {
        function
    };
    let blocking = format!(
        "write `{krate}::blocking(move || std::fs::{function}({args})).await`, with values that \
         the closure owns"
    );
    if FILES.contains(&name) {
        format!(
            "{blocking}, or `tokio::fs::{name}({args}).await`, whose work goes on \
             after a cancellation"
        )
    } else {
        blocking
    }
}
