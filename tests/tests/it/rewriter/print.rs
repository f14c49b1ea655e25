//! Programs as Rust.

use super::program::{
    Aim, Async, Block, Cond, End, Expr, Form, Head, Id, Leave, Loop, Marker, Out, Outcome, Picked,
    Program, Stmt,
};

/// A program as an async fn called `name`, with the attribute or without.
pub(crate) fn function(name: &str, program: &Program, annotated: bool) -> String {
    let printer = Printer { annotated };
    let attribute = match (annotated, program.loops) {
        (false, _) => "",
        (true, false) => "#[taskscope::cancellable]\n",
        (true, true) => "#[taskscope::cancellable(loops)]\n",
    };
    let (output, wrap) = match program.fallible {
        false => ("u32", ""),
        true => ("Result<u32, Fault>", "Ok"),
    };
    let body = printer.block(&program.body, wrap);
    indented(&format!(
        "{attribute}async fn {name}(log: &Trace) -> {output} {body}\n"
    ))
}

struct Printer {
    annotated: bool,
}

impl Printer {
    // The block's value is put in the parentheses behind `wrap`.
    fn block(&self, block: &Block, wrap: &str) -> String {
        let mut text = "{\n".to_owned();
        for stmt in &block.stmts {
            text += &self.stmt(stmt);
            text += "\n";
        }
        match &*block.end {
            End::Unit => {}
            End::Value(value) => text += &format!("{wrap}({})\n", self.expr(value)),
            End::Leave(leave) => text += &format!("{}\n", self.leave(leave)),
        }
        text + "}"
    }

    fn plain_block(&self, block: &Block) -> String {
        self.block(block, "")
    }

    // An arm without statements needs no braces.
    fn arm(&self, block: &Block) -> String {
        match (&block.stmts[..], &*block.end) {
            ([], End::Value(value)) => format!("{},", self.expr(value)),
            ([], End::Leave(leave)) => format!("{},", self.leave(leave)),
            _ => self.plain_block(block),
        }
    }

    fn stmt(&self, stmt: &Stmt) -> String {
        match stmt {
            Stmt::Let(id, value) => format!("let mut v{id}: u32 = {};", self.expr(value)),
            Stmt::Assign(id, value) => format!("v{id} = {};", self.expr(value)),
            Stmt::Log(id, value) => format!("log.add({id}, {});", self.expr(value)),
            Stmt::Mark(id) => format!("let _m{id} = log.mark({id});"),
            Stmt::Defer(cleanup) => format!("taskscope::defer! {}", self.plain_block(cleanup)),
            Stmt::OnCancel(cleanup) => {
                format!("taskscope::on_cancel! {}", self.plain_block(cleanup))
            }
            Stmt::Expr(value) => format!("{};", self.expr(value)),
            Stmt::Maybe(cond, block) => {
                format!("if {} {}", self.cond(cond), self.plain_block(block))
            }
            Stmt::LetElse(id, picked, block) => {
                let (picked, block) = (self.picked(picked), self.plain_block(block));
                format!("let Some(v{id}) = {picked} else {block};")
            }
            Stmt::Loop(looped) => self.looped(looped, ";"),
        }
    }

    fn leave(&self, leave: &Leave) -> String {
        match leave {
            Leave::Break(aim, None) => format!("break{}", label(*aim)),
            Leave::Break(aim, Some(value)) => format!("break{} {}", label(*aim), self.expr(value)),
            Leave::Continue(aim) => format!("continue{}", label(*aim)),
            Leave::Return(Out::Plain, value) => format!("return {}", self.expr(value)),
            Leave::Return(Out::Ok, value) => format!("return Ok({})", self.expr(value)),
            Leave::Return(Out::Err, value) => format!("return Err(Fault({}))", self.expr(value)),
        }
    }

    // With its counter, in a block of its own where there is one.
    fn looped(&self, looped: &Loop, end: &str) -> String {
        let marker = match (self.annotated, looped.marker) {
            (false, _) | (_, Marker::None) => "",
            (true, Marker::Checkpoint) => "#[checkpoint]\n",
            (true, Marker::NoCheckpoint) => "#[no_checkpoint]\n",
        };
        let head = format!("{marker}'l{}:", looped.label);
        let body = self.plain_block(&looped.body);
        match &looped.head {
            Head::For(id, count) => {
                let count = self.expr(count);
                format!("{head} for v{id} in 0..modulo({count}, 4) {body}")
            }
            Head::While(id, limit, cond) => {
                let cond = self.cond(cond);
                format!(
                    "let mut c{id} = 0;\n\
                     {head} while count(&mut c{id}, {limit}).is_some() && {cond} {body}"
                )
            }
            Head::WhileLet(id, counter, limit) => format!(
                "let mut c{counter} = 0;\n\
                 {head} while let Some(v{id}) = count_later(&mut c{counter}, {limit}).await {body}"
            ),
            Head::Loop(id, limit, value) => {
                let (label, value) = (looped.label, self.expr(value));
                format!(
                    "{{\nlet mut c{id} = 0;\n{head} loop {{\n\
                     if count(&mut c{id}, {limit}).is_none() {{\nbreak 'l{label} {value};\n}}\n\
                     {body}\n}}\n}}{end}"
                )
            }
        }
    }

    fn picked(&self, picked: &Picked) -> String {
        let from = self.expr(&picked.from);
        match picked.awaited {
            true => format!("pick_later({from}).await"),
            false => format!("pick({from})"),
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Number(n) => format!("{n}u32"),
            Expr::Var(id) => format!("v{id}"),
            Expr::Add(a, b) => format!("add({}, {})", self.expr(a), self.expr(b)),
            Expr::Ready(value) => format!("ready({}).await", self.expr(value)),
            Expr::Pend(n, value) => format!("log.pend({n}, {}).await", self.expr(value)),
            Expr::Hold(id, n, value) => {
                format!("log.mark({id}).hold({n}, {}).await", self.expr(value))
            }
            Expr::Try(true, value) => format!("check({}).await?", self.expr(value)),
            Expr::Try(false, value) => format!("check_now({})?", self.expr(value)),
            Expr::Block(block) => format!("({})", self.plain_block(block)),
            Expr::Labelled(id, block) => format!("('l{id}: {})", self.plain_block(block)),
            Expr::Loop(looped) => format!("({})", self.looped(looped, "")),
            Expr::Async(code) => self.code(code),
            Expr::Format(value) => format!("length(format!(\"{{}}\", {}))", self.expr(value)),
            Expr::Sum(a, b) => format!("sum(vec![{}, {}])", self.expr(a), self.expr(b)),
            Expr::Matches(value) => format!("u32::from(matches!({}, 1..=3))", self.expr(value)),
            _ => format!("({})", self.branches(expr)),
        }
    }

    fn branches(&self, expr: &Expr) -> String {
        match expr {
            Expr::If(cond, yes, no) => {
                let (yes, no) = (self.plain_block(yes), self.plain_block(no));
                format!("if {} {yes} else {no}", self.cond(cond))
            }
            Expr::IfLet(id, picked, also, yes, no) => {
                let (yes, no) = (self.plain_block(yes), self.plain_block(no));
                let also = self.guard("&&", also.as_ref());
                let picked = self.picked(picked);
                format!("if let Some(v{id}) = {picked}{also} {yes} else {no}")
            }
            Expr::Match(value, arms) => {
                let mut text = format!("match modulo({}, {}) {{\n", self.expr(value), arms.len());
                for (number, (guard, arm)) in arms.iter().enumerate() {
                    let last = number + 1 == arms.len();
                    let pattern = if last {
                        "_".to_owned()
                    } else {
                        number.to_string()
                    };
                    let guard = self.guard("if", guard.as_ref());
                    text += &format!("{pattern}{guard} => {}\n", self.arm(arm));
                }
                text + "}"
            }
            other => self.expr(other),
        }
    }

    fn guard(&self, word: &str, cond: Option<&Cond>) -> String {
        cond.map_or_else(String::new, |cond| format!(" {word} {}", self.cond(cond)))
    }

    fn code(&self, code: &Async) -> String {
        let wrap = match code.outcome {
            Outcome::Plain => "",
            Outcome::Try | Outcome::Either => "Ok::<u32, Fault>",
        };
        let body = self.block(&code.body, wrap);
        let awaited = match &code.form {
            Form::Block => format!("async {body}.await"),
            Form::Move => format!("async move {body}.await"),
            // What the closure borrows is not free for its argument.
            Form::Closure(id, value) => {
                let value = self.expr(value);
                format!("({{ let x = {value};\n (async |v{id}: u32| {body})(x).await }})")
            }
            Form::Returned(id, value) => {
                let value = self.expr(value);
                format!("({{ let x = {value};\n (|v{id}: u32| async move {body})(x).await }})")
            }
        };
        match code.outcome {
            Outcome::Plain => awaited,
            Outcome::Try => format!("{awaited}?"),
            Outcome::Either => format!("either({awaited})"),
        }
    }

    fn cond(&self, cond: &Cond) -> String {
        match cond {
            Cond::Less(a, b) => format!("less({}, {})", self.expr(a), self.expr(b)),
            Cond::And(a, b) => format!("({} && {})", self.cond(a), self.cond(b)),
            Cond::Or(a, b) => format!("({} || {})", self.cond(a), self.cond(b)),
            Cond::Not(a) => format!("!{}", self.cond(a)),
        }
    }
}

fn label(aim: Aim) -> String {
    let Aim { label, named }: Aim = aim;
    if named {
        format!(" 'l{label}")
    } else {
        String::new()
    }
}

fn indented(text: &str) -> String {
    let mut depth: usize = 0;
    let mut lines = String::new();
    for line in text.lines() {
        let opened = line.matches('{').count();
        let closed = line.matches('}').count();
        let own = depth.saturating_sub(usize::from(line.starts_with('}')));
        lines += &format!("{}{line}\n", "    ".repeat(own));
        depth = (depth + opened).saturating_sub(closed);
    }
    lines
}

/// A name that is free in every program.
pub(crate) fn name(index: Id) -> String {
    format!("program_{index}")
}
