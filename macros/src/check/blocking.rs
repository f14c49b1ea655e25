//! [blocking]: calls that hold up the thread.

use super::{Call, Check, Finding, short};
use syn::{Expr, ExprMethodCall};

const WHY: &str = "no other task runs on this thread meanwhile, and no cancellation arrives";

/// A function that is known by its path to block.
pub(super) fn check_path(path: &[&str], call: &Call) -> Option<Finding> {
    let args = call.args();
    let help = match path {
        ["std", "thread", "sleep"] | ["thread", "sleep"] => {
            format!("write `tokio::time::sleep({args}).await`")
        }
        [.., "block_on"] if blocks_on(path) => await_instead(call),
        ["std", "fs", function] => file_help(function, &args),
        [
            "std",
            "fs",
            ty @ "File",
            function @ ("open" | "create" | "create_new" | "options"),
        ]
        | [
            "std",
            "fs",
            ty @ ("OpenOptions" | "DirBuilder"),
            function @ "new",
        ] => format!(
            "write `tokio::fs::{ty}::{function}({args})`, whose methods are awaited, or move the \
             work into `g.spawn_blocking(|| …)`"
        ),
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
            "write `taskscope::timeout(…, tokio::net::TcpStream::connect(…)).await`".to_owned()
        }
        ["std", "net", "ToSocketAddrs", "to_socket_addrs"] => {
            "write `tokio::net::lookup_host(…).await`".to_owned()
        }
        _ => return None,
    };
    Some(finding(&call.name(), help))
}

/// A method whose name says that it blocks.
pub(super) fn check_method(call: &ExprMethodCall) -> Option<Finding> {
    let method = call.method.to_string();
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
        ("block_on", 1 | 2) => {
            format!(
                "await the future here: `{}.await`",
                operand(call.args.last()?)
            )
        }
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
    const CRATES: &[&str] = &[
        "tokio",
        "futures",
        "futures_executor",
        "futures_lite",
        "pollster",
        "smol",
        "async_std",
        "async_io",
        "taskscope",
    ];
    const TELLING: &[&str] = &["executor", "task", "Handle", "Runtime", "LocalSet"];
    match path {
        [first, .., _] if CRATES.contains(first) => true,
        [last, _] => TELLING.contains(last),
        ["runtime", "Handle" | "Runtime", _] => true,
        _ => false,
    }
}

fn await_instead(call: &Call) -> String {
    let future = call.args.and_then(|args| args.last());
    let future = future.map_or_else(|| "…".to_owned(), operand);
    format!("await the future here: `{future}.await`")
}

// The future of a `block_on`, as the operand of an await.
fn operand(future: &Expr) -> String {
    match future {
        Expr::Path(_) | Expr::Call(_) | Expr::MethodCall(_) => short(future),
        _ => "…".to_owned(),
    }
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
    "write",
];

fn file_help(function: &str, args: &str) -> String {
    let name = if function == "exists" {
        "try_exists"
    } else {
        function
    };
    if FILES.contains(&name) || name == "try_exists" {
        format!(
            "write `tokio::fs::{name}({args}).await`, or move several such calls into \
             `g.spawn_blocking(|| …)`"
        )
    } else {
        format!("move it into `g.spawn_blocking(|| std::fs::{function}({args}))`")
    }
}
