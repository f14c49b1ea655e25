//! Async functions as trees: what is printed as Rust, and what is interpreted.
//!
//! All values are `u32`. Every variable, label and log entry has a number of its
//! own within its program.

pub(crate) type Id = usize;

/// An async fn that gives a `u32`, or a `Result<u32, Fault>`.
pub(crate) struct Program {
    pub(crate) fallible: bool,
    /// Every loop gets a checkpoint.
    pub(crate) loops: bool,
    /// Contains `defer!` or `on_cancel!`, so that it is nothing without the attribute.
    pub(crate) guarded: bool,
    pub(crate) body: Block,
    /// How many numbers are in use.
    pub(crate) ids: usize,
}

pub(crate) struct Block {
    pub(crate) stmts: Vec<Stmt>,
    pub(crate) end: Box<End>,
}

pub(crate) enum End {
    Unit,
    Value(Expr),
    Leave(Leave),
}

/// A way out of a block.
pub(crate) enum Leave {
    Break(Aim, Option<Expr>),
    Continue(Aim),
    Return(Out, Expr),
}

/// The loop or block that a jump leaves.
#[derive(Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) label: Id,
    pub(crate) named: bool,
}

/// What is returned: the value, `Ok` of it, or `Err` of it.
#[derive(Clone, Copy)]
pub(crate) enum Out {
    Plain,
    Ok,
    Err,
}

pub(crate) enum Stmt {
    Let(Id, Expr),
    Assign(Id, Expr),
    /// An entry in the log.
    Log(Id, Expr),
    /// A local that logs its drop.
    Mark(Id),
    Defer(Block),
    OnCancel(Block),
    Expr(Expr),
    /// A block whose way out is taken under a condition.
    Maybe(Cond, Block),
    /// The block leaves.
    LetElse(Id, Picked, Block),
    Loop(Loop),
}

/// A loop whose value, if any, is unused.
pub(crate) struct Loop {
    pub(crate) label: Id,
    pub(crate) marker: Marker,
    pub(crate) head: Head,
    pub(crate) body: Block,
}

/// What ends a loop; none runs more than a few times.
pub(crate) enum Head {
    /// For each number below the expression.
    For(Id, Expr),
    /// While the counter is below the limit and the condition holds.
    While(Id, u32, Cond),
    /// While an awaited call gives something.
    WhileLet(Id, Id, u32),
    /// Until the counter is at the limit; the value that ends it.
    Loop(Id, u32, Box<Expr>),
}

#[derive(Clone, Copy)]
pub(crate) enum Marker {
    None,
    Checkpoint,
    NoCheckpoint,
}

/// Half of an even number, perhaps by an awaited call.
pub(crate) struct Picked {
    pub(crate) awaited: bool,
    pub(crate) from: Box<Expr>,
}

pub(crate) enum Expr {
    Number(u32),
    Var(Id),
    Add(Box<Expr>, Box<Expr>),
    /// An await that is ready at once.
    Ready(Box<Expr>),
    /// An await that suspends so many times.
    Pend(u32, Box<Expr>),
    /// The same as a method of a temporary that logs its drop.
    Hold(Id, u32, Box<Expr>),
    /// `?` on a result, perhaps an awaited one.
    Try(bool, Box<Expr>),
    If(Cond, Block, Block),
    /// With one more condition, this is a let chain.
    IfLet(Id, Picked, Option<Cond>, Block, Block),
    /// The value modulo the number of arms selects the arm; the last takes the rest.
    Match(Box<Expr>, Vec<(Option<Cond>, Block)>),
    Block(Block),
    Labelled(Id, Block),
    Loop(Box<Loop>),
    Async(Box<Async>),
    /// How long the value is as text, by `format!`.
    Format(Box<Expr>),
    /// The elements of a `vec!`, added.
    Sum(Box<Expr>, Box<Expr>),
    /// Whether the value is from 1 to 3, by `matches!`.
    Matches(Box<Expr>),
}

/// Async code of its own, awaited at once.
pub(crate) struct Async {
    pub(crate) form: Form,
    pub(crate) outcome: Outcome,
    pub(crate) body: Block,
}

pub(crate) enum Form {
    Block,
    Move,
    /// An async closure and its argument.
    Closure(Id, Expr),
    /// A closure that returns an async block.
    Returned(Id, Expr),
}

#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Plain,
    /// A result, behind which stands `?`.
    Try,
    /// A result, of which either side is taken.
    Either,
}

pub(crate) enum Cond {
    Less(Box<Expr>, Box<Expr>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Not(Box<Cond>),
}

impl Program {
    /// Whether an iteration of this loop begins with a checkpoint.
    pub(crate) fn has_checkpoint(&self, looped: &Loop) -> bool {
        match looped.marker {
            Marker::None => self.loops,
            Marker::Checkpoint => true,
            Marker::NoCheckpoint => false,
        }
    }
}

/// What `check` lets pass.
pub(crate) fn passes(value: u32) -> bool {
    value % 5 != 4
}

/// What `pick` gives.
pub(crate) fn picked(value: u32) -> Option<u32> {
    value.is_multiple_of(2).then_some(value / 2)
}
