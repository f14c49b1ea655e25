//! What `#[cancellable]` warns of.
//!
//! A procedural macro on stable has errors, but no warnings. rustc warns of what is deprecated,
//! with its note, where it is used: so an expansion uses one of these at the user's own tokens.

/// Futures in a stream, dropped in the middle.
#[deprecated(
    note = "what this stream holds is polled only while its `next()` is awaited\n\n  \
            = note: cancelled at another await, its futures are dropped in the middle: their \
            `defer!` blocks are lost\n  \
            = help: spawn them in a `task_group!`, and take their results from a \
            `taskscope::TaskSet`\n  \
            = help: if they have no cleanup, `allow(hard_drop)` as an option of `#[cancellable]` \
            or `task_group!` switches this off"
)]
pub const fn hard_drop() {}
