//! The macros of `taskscope`. Depend on that crate, which re-exports them: what
//! they expand to calls it.
//!
//! Each entry point parses, checks, rewrites and emits. Mistakes are collected and
//! reported together, beside the code, which is emitted in any case.

mod cancellable;
mod check;
mod diag;
mod entry;
mod group;
mod join;
mod race;
mod rewrite;
mod rules;
mod syntax;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes async code cancellable: each `.await` in it becomes a checkpoint.
///
/// It stands on an async fn, a method, a trait's default method, or on an `impl`, a
/// `trait` or an inline `mod` for every async fn in it. Return types, arguments and
/// what the function does while nothing is cancelled stay the same.
///
/// - A cancelled task does not start what an `.await` would wait for, and is left
///   there in order. Nested async blocks, async closures and the arguments of
///   well-known macros (`println!`, `assert!`, `vec!`, `tracing::info!`, …) count as
///   part of the function; other functions and plain closures inside it do not.
/// - `#[checkpoint]` on a loop gives each of its iterations a checkpoint.
/// - [`defer!`] and [`on_cancel!`] add cleanup that may await.
///
/// # Options
///
/// - `loops`: a checkpoint for every loop, except those marked `#[no_checkpoint]` and those that hold a
///   lock which their head takes, as `for n in numbers.lock().unwrap().iter()` does.
/// - `blocking`: for a plain function, see [below](#blocking-functions).
/// - `send`: says that the future is `Send`, see [below](#futures-that-say-that-they-are-send).
/// - `allow(detached, blocking, hard_drop)`: switches single [checks](#structure-checks) off.
/// - `deny(hard_drop)`: makes the warnings of that check errors.
/// - `crate = path`: where the runtime crate is, if not at `::taskscope`.
///
/// They hold for what is inside, the bodies of [`task_group!`] included. A function with an
/// attribute of its own, in an annotated `impl` or `mod`, has the options of its own alone.
///
/// # Examples
///
/// ```
/// use std::io;
/// use taskscope::cancellable;
/// use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
///
/// #[cancellable]
/// async fn copy(
///     from: &mut (impl AsyncRead + Unpin),
///     to: &mut (impl AsyncWrite + Unpin),
/// ) -> io::Result<usize> {
///     let mut bytes = 0;
///     let mut chunk = [0; 1024];
///     loop {
///         let length = from.read(&mut chunk).await?;
///         if length == 0 {
///             return Ok(bytes);
///         }
///         to.write_all(&chunk[..length]).await?;
///         bytes += length;
///     }
/// }
///
/// #[cancellable(loops)]
/// async fn primes(limit: u64) -> Vec<u64> {
///     let mut found = Vec::new();
///     for n in 2..limit {
///         if found.iter().all(|p| n % p != 0) {
///             found.push(n);
///         }
///     }
///     found
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(copy(&mut &b"tea"[..], &mut Vec::new()).await.unwrap(), 3);
/// assert_eq!(primes(12).await, [2, 3, 5, 7, 11]);
/// # }
/// ```
///
/// # Structure checks
///
/// What would break the structure is a compile-time error that says what to write instead:
///
/// | check | what is reported | what to write |
/// | --- | --- | --- |
/// | `detached` | `tokio::spawn`, `tokio::task::spawn` and `spawn_local`; those of `async_std` and `smol` | `group.spawn`, `spawn_scoped` if it borrows, `spawn_local` |
/// | | `tokio::task::spawn_blocking`, `std::thread::spawn` | `group.spawn_blocking`, or `blocking(…).await` |
/// | | `JoinSet::new`, `JoinMap::new`, `TaskTracker::new` | `task_group!`, and a `TaskSet` of the handles |
/// | `blocking` | `std::thread::sleep` | `tokio::time::sleep(…).await` |
/// | | `block_on` of tokio, futures and others | `.await` |
/// | | `tokio::task::block_in_place` | `blocking(…).await`, and `taskscope::block_on` in it |
/// | | `blocking_send`, `blocking_recv`, `blocking_lock` | `send`, `recv`, `lock` and `.await` |
/// | | functions of `std::fs` and `std::net` that block, by full path or import | `blocking(…).await`, or those of `tokio::fs` and `tokio::net` |
/// | | `output`, `status` and `wait` of a `std::process::Command::new(…)` | `tokio::process::Command` |
/// | | a `loop` or `while true` without an await, `break`, `return` or `?` | `#[checkpoint]` above it |
/// | `hard_drop` | `select!` of tokio and futures | [`race!`] |
/// | | `tokio::try_join!`, `futures::try_join!` | `taskscope::try_join!` |
/// | | `future::select_all`, `future::select_ok` | [`race!`], or `TaskSet::next` in a group |
/// | | `tokio::time::timeout` and `timeout_at` | `taskscope::timeout`, `timeout_at` |
/// | | `run_until_cancelled` of a token | `Scope::new().cancel_when(token.cancelled())` |
/// | | `timeout(limit, &mut future)` and `future.as_mut()`, also with taskscope's own | [`race!`], which leaves the future as it is |
/// | | as a warning: `FuturesUnordered`, `.buffered(n)` and `.buffer_unordered(n)` in a function that awaits `next()` in a loop or a `race!` | tasks of a group, and a `TaskSet` of their handles |
///
/// A macro sees names, not types, so that a check fires where a name is telling:
///
/// - A path is known with its crate in front, or with the last module or type:
///   `tokio::task::spawn`, `task::spawn`, `thread::sleep`, `time::timeout`, `JoinSet::new`. A
///   bare `spawn` may be anybody's, and what begins with `self::`, `crate::` or `super::` is
///   yours; so is what the function, or the annotated `mod`, declares or imports itself from
///   elsewhere.
/// - An import in the function, or in the annotated `mod`, tells what a name stands for: after
///   `use tokio::spawn as go;`, a call of `go` is reported. `<JoinSet<_>>::new()` is known, too.
/// - A bare `select!` is reported when its branches are those of tokio and futures,
///   `pattern = future => handler`; with a path, when that is theirs.
/// - Methods are known where the name says it all, `blocking_recv()` and `block_on(…)`, but
///   not those of `self`, nor one called `spawn` or `abort`.
/// - Plain closures may block: they may be for another thread. They may not detach.
/// - In the arguments of a macro that is not known, nothing is read, and a `loop` with such a
///   macro in it may have a way out.
/// - The same goes for `async_stream::stream!` and the like: an await in there is not a checkpoint,
///   since the consumer of the stream decides when it runs. A `defer!` in there is an error; the guide's
///   page `cleanup` shows what to write.
///
/// [`#[taskscope::main]`](macro@main#waiting-for-signals) has one more, `signals`.
///
/// Where it has to be so, `#[cancellable(allow(detached))]` and the like switch one check off
/// for a function, an `impl` or a `mod`, and `task_group!(allow(detached), …)` for a group. The
/// warnings of `hard_drop` become errors by `deny(hard_drop)`. Of an `allow` and a `deny` for the same
/// check, the later one holds, and that of a group before that of the function around it.
///
/// Code without the attribute is not read. For a project that wants no detached tasks
/// anywhere, clippy knows types and looks everywhere; in `clippy.toml`:
///
/// ```toml
/// disallowed-methods = [
///     { path = "tokio::spawn", reason = "outlives its caller: use `group.spawn`" },
///     { path = "tokio::task::spawn_local", reason = "outlives its caller: use `group.spawn_local`" },
///     { path = "tokio::task::spawn_blocking", reason = "outlives its caller: use `taskscope::blocking`" },
///     { path = "tokio::task::JoinSet::new", reason = "aborts its tasks without their cleanup: use `task_group!`" },
///     { path = "tokio::runtime::Handle::spawn", reason = "outlives its caller: use `group.spawn`" },
///     { path = "tokio::runtime::Runtime::spawn", reason = "outlives its caller: use `group.spawn`" },
///     { path = "std::thread::spawn", reason = "outlives its caller: use `taskscope::blocking`" },
///     { path = "tokio::time::timeout", reason = "drops without cleanup: use `taskscope::timeout`" },
///     { path = "tokio::time::timeout_at", reason = "drops without cleanup: use `taskscope::timeout_at`" },
/// ]
/// disallowed-macros = [
///     { path = "tokio::select", reason = "drops without cleanup: use `taskscope::race!`" },
///     { path = "tokio::try_join", reason = "drops without cleanup: use `taskscope::try_join!`" },
/// ]
/// ```
///
/// # Blocking functions
///
/// `#[cancellable(blocking)]` stands on a plain function that `spawn_blocking` runs, and
/// gives each iteration of its loops a checkpoint of a few nanoseconds. Blocking code
/// cannot be dropped, so that the checkpoint returns `Err` when the scope is cancelled: the
/// function returns a `Result` whose error is made `From<Cancelled>`, as `io::Error`,
/// `BoxError` and `anyhow::Error` are.
///
/// ```
/// use taskscope::{Cancelled, blocking, cancellable};
///
/// #[cancellable(blocking)]
/// fn checksum(blocks: &[[u8; 4]]) -> Result<u32, Cancelled> {
///     let mut sum = 0_u32;
///     for block in blocks {
///         sum = sum.wrapping_add(u32::from_le_bytes(*block));
///     }
///     Ok(sum)
/// }
///
/// # #[tokio::main]
/// # async fn main() {
/// assert_eq!(blocking(|| checksum(&[[1, 0, 0, 0], [2, 0, 0, 0]])).await.unwrap(), 3);
/// # }
/// ```
///
/// - `#[no_checkpoint]` leaves a loop as it is.
/// - Loops in a closure are left as they are, since `return` would leave only the closure:
///   write `checkpoint_blocking()?` there.
/// - On an `impl`, a `trait` or a `mod` it goes for the plain functions that return a type
///   called `Result`, or `…Result`. The async ones are made cancellable as always.
///
/// # Futures that say that they are `Send`
///
/// Whether the future of an `async fn` is `Send` is found out from its body. That does not work
/// where the body needs to know it already, as in a function that spawns itself, and not for
/// the methods of a trait, whose bodies are elsewhere. A function that visibly spawns itself into a group is an error
/// that names this option; of two that spawn each other rustc says "type annotations needed: cannot satisfy
/// `impl Future<Output = ()>: Send`". `#[cancellable(send)]` writes it into the
/// signature: `async fn f(x: A) -> T` becomes `fn f(x: A) -> impl Future<Output = T> + Send`. It
/// stands on functions, methods, an `impl`, and a `trait`, on methods without a body too.
///
/// ```
/// use std::path::PathBuf;
/// use taskscope::{BoxError, Group, cancellable, task_group};
///
/// #[cancellable(send)]
/// async fn visit(g: Group<'static>, dir: PathBuf) -> Result<(), BoxError> {
///     let mut entries = tokio::fs::read_dir(dir).await?;
///     while let Some(entry) = entries.next_entry().await? {
///         if entry.file_type().await?.is_dir() {
///             g.spawn(visit(g.clone(), entry.path()));
///         }
///     }
///     Ok(())
/// }
///
/// # #[tokio::main]
/// # async fn main() {
/// let visited = task_group!(limit = 8, |g| {
///     g.spawn(visit(g.clone(), PathBuf::from("src")));
///     Ok(())
/// });
/// visited.await.unwrap();
/// # }
/// ```
///
/// A function that awaits itself boxes that call, as always: `Box::pin(f(n - 1)).await`.
///
/// # Beside other attributes
///
/// `#[cancellable]` goes above attributes *on the same function* that move or copy its body, such
/// as `#[rstest]`, `#[sqlx::test]` and `#[axum::debug_handler]`: below them, it is given a function
/// without the body, or a second copy of the body is left without it. `#[tracing::instrument]`,
/// `#[async_recursion]` and `#[async_trait]` may be above or below.
///
/// # Names
///
/// [`defer!`], [`on_cancel!`], [`race!`] and [`task_group!`] are imported, or written with their
/// path. The attribute knows them by their own names: an import `as` another name is not seen, which is
/// a compile-time error for `defer!` and `on_cancel!`. Where such a name leads to a macro of another
/// crate, that is an error, too; that macro is called by its path, or imported in the function or
/// in the annotated `mod`, where the attribute sees it. `#[checkpoint]` and `#[no_checkpoint]` on
/// loops need no import.
///
/// The same goes for the crate: after `use taskscope as ts;`, or where it has another name in
/// `Cargo.toml`, write `#[cancellable(crate = ts)]`. Without that option `ts::defer!` is an error, and
/// `ts::shield(…)` is awaited like any other future: in a scope that is cancelled already, it does not begin.
///
/// # What becomes of an await
///
/// `EXPR.await` becomes `after(gate().await, EXPR).await`, one expression, so that
/// temporaries live as long as before. The future is handed through, not wrapped, so
/// neither its type nor the function's size grows. Known: a local that is not `Send` and
/// moves into the call in `EXPR`, as `rc` in `f(rc).await`, now lives across the gate. In two
/// lines it does not: `let call = f(rc);`, and then `call.await`.
///
/// A `task_group!` and a `shield(…)` are entered without a checkpoint, where they are awaited in the
/// expression that makes them: `shield(f()).await`, but not `let work = shield(f()); work.await`.
///
/// # "future is not `Send` as this value is used across an await"
///
/// What is held while something is awaited is part of the future, and a task that is spawned is
/// `Send` only if all of that is. This is so in every `async fn`; what is new is that an
/// iteration of a `#[checkpoint]` loop awaits too. rustc then points at the value and at the loop:
///
/// ```text
/// note: future is not `Send` as this value is used across an await
///    |
///  9 |     let mut total = total.lock().unwrap();
///    |         --------- has type `std::sync::MutexGuard<'_, u64>` which is not `Send`
/// 10 |     #[checkpoint]
/// 11 |     for n in numbers {
///    |     ^^^ await occurs here, with `mut total` maybe used later
/// ```
///
/// The message is right twice: whoever is cancelled or lets others run at a checkpoint should
/// not hold a lock of `std` there. Compute first and lock then:
///
/// ```
/// # use std::sync::Mutex;
/// # use taskscope::cancellable;
/// #[cancellable]
/// async fn add_all(total: &Mutex<u64>, numbers: &[u64]) {
///     let mut sum = 0;
///     #[checkpoint]
///     for n in numbers {
///         sum += n;
///     }
///     *total.lock().unwrap() += sum;
/// }
/// ```
///
/// or lock within the iteration, so that the guard is gone at its end. A loop that is short
/// under a lock is better left without a checkpoint: under `loops`, mark it `#[no_checkpoint]`. That is not needed
/// where the head of the loop takes the lock, or of a `match` or an `if let` around it: such a
/// loop has a checkpoint only if it is marked `#[checkpoint]`. An
/// `if let Some(job) = jobs.lock().unwrap().pop()` holds the lock in its block, though `job` is no guard; after
/// `let job = jobs.lock().unwrap().pop();`, nothing is held in an `if let Some(job) = job`. A guard that
/// has to be held throughout is one of `tokio::sync::Mutex`, which is `Send`.
#[proc_macro_attribute]
pub fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    cancellable::cancellable(args.into(), item.into()).into()
}

/// Gives each iteration of a loop in a [`macro@cancellable`] function a checkpoint.
///
/// For loops that compute without awaiting: at the start of each iteration the
/// function can be cancelled, and lets other tasks run once its budget is spent.
///
/// In a function that is not annotated, rustc reports first that attributes on expressions are
/// experimental (E0658); what to do about it is in the last of the errors: annotate the function.
///
/// ```
/// # use taskscope::cancellable;
/// #[cancellable]
/// async fn sum(numbers: &[u64]) -> u64 {
///     let mut sum = 0;
///     #[checkpoint]
///     for n in numbers {
///         sum += n;
///     }
///     sum
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { assert_eq!(sum(&[1, 2]).await, 3); }
/// ```
///
/// `#[cancellable]` reads the attribute and removes it. On a loop of any other function it is an
/// error: rustc says that attributes on expressions are experimental, and then this crate that
/// the function needs `#[cancellable]`.
#[proc_macro_attribute]
pub fn checkpoint(_: TokenStream, item: TokenStream) -> TokenStream {
    check::stray_marker("checkpoint", item.into()).into()
}

/// Leaves a loop of a `#[cancellable(loops)]` function without a checkpoint.
///
/// ```
/// # use taskscope::cancellable;
/// #[cancellable(loops)]
/// async fn roots(values: &mut [f32]) {
///     #[no_checkpoint]
///     for value in values {
///         *value = value.sqrt();
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { roots(&mut [4.0]).await; }
/// ```
#[proc_macro_attribute]
pub fn no_checkpoint(_: TokenStream, item: TokenStream) -> TokenStream {
    check::stray_marker("no_checkpoint", item.into()).into()
}

/// Async cleanup for the rest of the enclosing block, on every way out of it.
///
/// A statement in a [`macro@cancellable`] function. The cleanup runs when the block ends,
/// when `return`, `?`, `break` or `continue` leave it, when it is cancelled and when it panics.
/// It may await, nothing cancels it, and it sees the block's locals as they are then.
/// Several in one block run last declared first. In an `if` or in an arm of a `match`, the block is
/// that one: for cleanup of the function under a condition, write the condition inside, `defer! { if open { … } }`.
///
/// `return`, `?` and jumps cannot leave the cleanup itself. Nobody gets the value that it ends with: of a
/// `Result` there, rustc says that it is unused.
///
/// rustfmt formats `defer!({ … })`, with parentheses, and leaves `defer! { … }` as it is.
///
/// The rest of the block becomes an async block, and the locals above the `defer!` have their
/// values by then: rustc rejects a `let answer;` above it that is assigned below, saying that
/// it "isn't initialized". Write the `let` below, or `let mut answer = None;` above where the
/// cleanup reads it.
///
/// It is known by its name: an import `as` another one is not seen. A `defer!` that is not this one
/// is an error, unless it is written with its path; see [Names](macro@cancellable#names).
///
/// ```
/// # use std::io;
/// # use taskscope::{cancellable, defer};
/// # struct Connection;
/// # impl Connection {
/// #     async fn open() -> io::Result<Self> { Ok(Self) }
/// #     async fn count(&mut self) -> io::Result<u64> { Ok(1) }
/// #     async fn close(&mut self) {}
/// # }
/// #[cancellable]
/// async fn session() -> io::Result<u64> {
///     let mut connection = Connection::open().await?;
///     defer! { connection.close().await; }
///     connection.count().await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { assert_eq!(session().await.unwrap(), 1); }
/// ```
#[proc_macro]
pub fn defer(input: TokenStream) -> TokenStream {
    check::stray_guard("defer", &input.into()).into()
}

/// Async cleanup for the rest of the enclosing block, only if it is left by cancellation.
///
/// Otherwise as [`defer!`].
///
/// ```
/// # use std::io;
/// # use taskscope::{cancellable, on_cancel};
/// # struct Upload;
/// # impl Upload {
/// #     async fn begin() -> io::Result<Self> { Ok(Self) }
/// #     async fn send(&self, part: Vec<u8>) -> io::Result<()> { drop(part); Ok(()) }
/// #     async fn finish(&self) -> io::Result<()> { Ok(()) }
/// #     async fn discard(&self) {}
/// # }
/// #[cancellable]
/// async fn upload(parts: Vec<Vec<u8>>) -> io::Result<()> {
///     let upload = Upload::begin().await?;
///     on_cancel! { upload.discard().await; }
///     for part in parts {
///         upload.send(part).await?;
///     }
///     upload.finish().await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { upload(vec![vec![1]]).await.unwrap(); }
/// ```
#[proc_macro]
pub fn on_cancel(input: TokenStream) -> TokenStream {
    check::stray_guard("on_cancel", &input.into()).into()
}

/// A structured group of tasks: an expression to be awaited, which ends when the body
/// and all that it spawned have ended.
///
/// The body is cancellable code: its awaits are checkpoints, and `#[checkpoint]` and
/// [`defer!`] work in it. It gives a `Result`.
///
/// Entering the group is not a checkpoint where it is awaited in the expression that makes it. In a
/// [`macro@cancellable`] function, one that is kept in a variable is awaited like any future: in a scope
/// that is cancelled by then, its body does not begin.
///
/// # Options
///
/// Before the body, as `name = value`: `name`, `limit`, `timeout`, `deadline`, `grace`, `drain` and
/// `on_failure` are those of the builder `TaskGroup`; `error = E` is the error type of
/// the group (`BoxError` if left out, `_` to infer it), and reports use its `Display`; `local` stands alone and allows
/// tasks that are not `Send`; `crate = path` says where the runtime crate is.
///
/// The body is read by the [structure checks](macro@cancellable#structure-checks), also
/// outside of a [`macro@cancellable`] function; `allow(detached, blocking, hard_drop)` switches
/// them off, and `deny(hard_drop)` makes the warnings of that one errors. In such a function, the function's options hold in the body as well.
///
/// ```
/// # use std::time::Duration;
/// # use taskscope::{GroupError, task_group};
/// # struct App;
/// # impl App {
/// #     async fn user(&self, id: u32) -> Result<String, std::io::Error> { Ok(format!("user {id}")) }
/// #     async fn cart(&self, id: u32) -> Result<Vec<u32>, std::io::Error> { Ok(vec![id]) }
/// # }
/// # #[tokio::main]
/// # async fn main() -> Result<(), GroupError> {
/// # let (app, id) = (App, 7);
/// let (user, cart) = task_group!(timeout = Duration::from_secs(2), |g| {
///     let user = g.spawn_scoped(app.user(id));
///     let cart = g.spawn_scoped(app.cart(id));
///     Ok((user.await?, cart.await?))
/// })
/// .await?;
/// # assert_eq!((user.as_str(), cart.len()), ("user 7", 1));
/// # Ok(())
/// # }
/// ```
#[proc_macro]
pub fn task_group(input: TokenStream) -> TokenStream {
    group::task_group(input.into()).into()
}

/// Runs futures until the first one completes, and unwinds the others.
///
/// It takes what `tokio::select!` takes. In a [`macro@cancellable`] function, the awaits
/// in its futures and handlers are checkpoints, as the race itself is.
///
/// `crate = path;` in front says where the runtime crate is, if not at `::taskscope`.
///
/// ```
/// # use std::time::Duration;
/// # use taskscope::race;
/// # use tokio::{sync::mpsc, time::sleep};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (send, mut orders) = mpsc::channel(1);
/// # send.send("tea").await.unwrap();
/// # drop(send);
/// let mut closing = Box::pin(sleep(Duration::from_secs(60)));
/// let mut served = Vec::new();
/// loop {
///     race! {
///         Some(order) = orders.recv() => served.push(order),
///         () = &mut closing, if served.len() < 100 => break,
///         else => break,
///     }
/// #   if served.len() == 1 { break; }
/// }
/// # assert_eq!(served, ["tea"]);
/// # }
/// ```
#[proc_macro]
pub fn race(input: TokenStream) -> TokenStream {
    race::race(input.into()).into()
}

/// What the runtime's `join!` expands to: `crate = path; future, future`.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    join::join(input.into()).into()
}

/// What the runtime's `try_join!` expands to: `crate = path; future, future`.
#[doc(hidden)]
#[proc_macro]
pub fn try_join(input: TokenStream) -> TokenStream {
    join::try_join(input.into()).into()
}

/// The entry point of a program: runs an async `main` in the root scope.
///
/// It builds the runtime, as `tokio::main` does, and makes the body cancellable, as
/// [`macro@cancellable`] does. SIGINT and SIGTERM ask the program to stop: `stopping()`
/// completes at once; after `drain`, everything is cancelled; after `grace`, what is still
/// there is dropped where it is, and named on standard error. A second signal skips the wait.
///
/// The exit code is 0 after a clean stop, 1 on an error, and 130 or 143 when `main` was
/// cancelled by SIGINT or SIGTERM. What is set by hand with the `Shutdown` builder is set here
/// by options.
///
/// # Options
///
/// All but `allow` as `name = value`:
///
/// - `drain`, `grace`: the `Duration` between being asked to stop and being cancelled, and
///   the one between being cancelled and being dropped. `grace` is ten seconds if left out.
///   `drain` is then as long as `grace` if anything waits for `stopping()` when the signal
///   comes, otherwise zero.
/// - `stuck_after`: how long a task may go without a checkpoint before it is named.
/// - `flavor`: `"multi_thread"`, which it is if left out, or `"current_thread"`.
/// - `worker_threads`: how many threads `"multi_thread"` has.
/// - `allow(signals)`: switches the [check](#waiting-for-signals) for SIGINT and SIGTERM off.
/// - `crate`: the path of the runtime crate, if not at `::taskscope`.
///
/// An explicit [`macro@cancellable`], for its options, as in `#[cancellable(allow(detached))]`, stands
/// above or below.
///
/// # Waiting for signals
///
/// A body that waits for `tokio::signal::ctrl_c()`, `signal(SignalKind::interrupt())` or
/// `signal(SignalKind::terminate())` is a compile-time error (the check `signals`): the signal
/// also stops and then cancels `main`, so the code after the wait may not run. Wait for `stopping()`
/// instead; the code after it has the time of `drain`. Other signals are free.
///
/// Only the body of `main` is read, with the groups, blocks and known macros in it. The function that many servers have for
/// this, usually called `shutdown_signal()`, is another function, in which nothing is reported:
/// replace its calls by `stopping()`, too.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use taskscope::BoxError;
/// use tokio::net::TcpListener;
/// use tokio::time::sleep;
///
/// #[taskscope::main(grace = Duration::from_secs(5), flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let listener = TcpListener::bind("127.0.0.1:8080").await?;
///     loop {
///         match listener.accept().await {
///             Ok((client, _)) => drop(client),
///             // The client has gone, or too many files are open: go on.
///             Err(error) => {
///                 eprintln!("cannot accept: {error}");
///                 sleep(Duration::from_millis(100)).await;
///             }
///         }
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::entry(entry::EntryKind::Main, args.into(), item.into()).into()
}

/// A test of async code, which fails if a task or a cleanup is left behind.
///
/// `tokio::test` with a scope around the body, which is cancellable, as under
/// [`macro@cancellable`]. It fails, with names and lines, if a task outlives it or a `defer!`
/// was lost; and with the tree of what runs, if it has not ended after `timeout`. A test that
/// keeps its thread for 5 s more, because it blocks or computes, cannot be ended: the tree is
/// printed, and the process aborts.
///
/// # Options
///
/// All as `name = value`:
///
/// - `flavor`: `"current_thread"`, which it is if left out, or `"multi_thread"`.
/// - `worker_threads`: how many threads `"multi_thread"` has.
/// - `start_paused`: `true` to begin with tokio's clock paused.
/// - `timeout`: the `Duration` in which the test has to end, in real time, also where tokio's
///   clock is paused. 60 s if left out, `Duration::MAX` for no limit. The environment
///   variable `TASKSCOPE_TEST_TIMEOUT` overrides it: a number of seconds, or 0 for no limit.
///   Under Miri and loom there is none.
/// - `crate`: the path of the runtime crate, if not at `::taskscope`.
///
/// An explicit [`macro@cancellable`], for its options, stands above or below.
///
/// # Examples
///
/// ```
/// # #![allow(unused_imports, reason = "the test is only there under `cargo test`")]
/// # fn main() {}
/// use std::{future::pending, time::Duration};
/// use taskscope::timeout;
///
/// #[taskscope::test(start_paused = true)]
/// async fn gives_up_after_a_second() {
///     let result = timeout(Duration::from_secs(1), pending::<()>()).await;
///     assert_eq!(result.unwrap_err().reason().to_string(), "deadline passed");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::entry(entry::EntryKind::Test, args.into(), item.into()).into()
}

/// An item for each option of each macro, which editors offer.
#[doc(hidden)]
#[proc_macro]
pub fn options(_: TokenStream) -> TokenStream {
    syntax::editor::option_items().into()
}
