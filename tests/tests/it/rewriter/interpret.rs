//! What a program does, by the rules: the expected log.

use super::program::{
    Async, Block, Cond, End, Expr, Form, Head, Id, Leave, Loop, Out, Outcome, Picked, Program,
    Stmt, passes, picked,
};

/// A run of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) log: Vec<String>,
    /// How many times it could have been cancelled.
    pub(crate) ticks: usize,
    /// `Err` of `Some` where it failed, of `None` where it was cancelled.
    pub(crate) value: Result<u32, Option<u32>>,
}

/// Runs a program, cancelled at the given tick; nothing where it takes too long.
pub(crate) fn run(program: &Program, cancel_at: Option<usize>) -> Option<Run> {
    let mut machine = Machine {
        program,
        vars: vec![0; program.ids],
        held: Vec::new(),
        log: Vec::new(),
        ticks: 0,
        cancel_at,
        shields: 0,
        steps: 0,
    };
    let step = machine.block(&program.body);
    let value = match step {
        Ok(value) => Ok(value),
        Err(Flow::Return(value)) => value.map_err(Some),
        Err(Flow::Cancelled) => Err(None),
        Err(flow) => unreachable!("{flow:?} leaves the function"),
    };
    (machine.steps < LONG).then_some(Run {
        log: machine.log,
        ticks: machine.ticks,
        value,
    })
}

const LONG: usize = 2_000;

/// How an expression ends without a value.
#[derive(Debug)]
enum Flow {
    Break(Id, u32),
    Continue(Id),
    Return(Result<u32, u32>),
    Cancelled,
}

type Step<T> = Result<T, Flow>;

/// What the end of a scope has to do.
enum Held<'p> {
    Mark(Id),
    Cleanup(&'p Block),
    OnCancel(&'p Block),
}

struct Machine<'p> {
    program: &'p Program,
    vars: Vec<u32>,
    held: Vec<Held<'p>>,
    log: Vec<String>,
    ticks: usize,
    cancel_at: Option<usize>,
    shields: usize,
    steps: usize,
}

impl<'p> Machine<'p> {
    // Whatever was held in the scope goes at its end, the last first.
    fn scope<T>(&mut self, run: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        let height = self.held.len();
        let step = run(self);
        let cancelled = matches!(step, Err(Flow::Cancelled));
        while self.held.len() > height {
            match self.held.pop() {
                Some(Held::Mark(id)) => self.log.push(format!("drop {id}")),
                Some(Held::Cleanup(block)) => self.cleanup(block),
                Some(Held::OnCancel(block)) if cancelled => self.cleanup(block),
                Some(Held::OnCancel(_)) | None => {}
            }
        }
        step
    }

    fn cleanup(&mut self, block: &'p Block) {
        self.shields += 1;
        if let Err(flow) = self.block(block) {
            assert!(self.is_long(), "{flow:?} leaves a cleanup");
        }
        self.shields -= 1;
    }

    fn is_long(&self) -> bool {
        self.steps >= LONG
    }

    // A run that takes too long is brought to an end like a cancelled one.
    fn checkpoint(&mut self) -> Step<()> {
        let cancelled = self.cancel_at.is_some_and(|at| self.ticks >= at);
        if self.is_long() || (cancelled && self.shields == 0) {
            return Err(Flow::Cancelled);
        }
        Ok(())
    }

    fn block(&mut self, block: &'p Block) -> Step<u32> {
        self.scope(|this| {
            for stmt in &block.stmts {
                this.stmt(stmt)?;
            }
            match &*block.end {
                End::Unit => Ok(0),
                End::Value(value) => this.full(value),
                End::Leave(leave) => this.leave(leave),
            }
        })
    }

    // Temporaries go with the statement.
    fn full(&mut self, expr: &'p Expr) -> Step<u32> {
        self.scope(|this| this.expr(expr))
    }

    fn stmt(&mut self, stmt: &'p Stmt) -> Step<()> {
        match stmt {
            Stmt::Let(id, value) | Stmt::Assign(id, value) => self.vars[*id] = self.full(value)?,
            Stmt::Log(id, value) => self.scope(|this| {
                let value = this.expr(value)?;
                this.log.push(format!("{id}: {value}"));
                this.ticks += 1;
                Ok(())
            })?,
            Stmt::Mark(id) => self.held.push(Held::Mark(*id)),
            Stmt::Defer(cleanup) => self.held.push(Held::Cleanup(cleanup)),
            Stmt::OnCancel(cleanup) => self.held.push(Held::OnCancel(cleanup)),
            Stmt::Expr(value) => drop(self.full(value)?),
            Stmt::Maybe(cond, block) => {
                if self.cond(cond)? {
                    self.block(block)?;
                }
            }
            Stmt::LetElse(id, from, block) => match self.scope(|this| this.picked(from))? {
                Some(value) => self.vars[*id] = value,
                None => drop(self.block(block)?),
            },
            Stmt::Loop(looped) => drop(self.scope(|this| this.looped(looped))?),
        }
        Ok(())
    }

    fn leave(&mut self, leave: &'p Leave) -> Step<u32> {
        Err(match leave {
            Leave::Break(aim, None) => Flow::Break(aim.label, 0),
            Leave::Break(aim, Some(value)) => Flow::Break(aim.label, self.full(value)?),
            Leave::Continue(aim) => Flow::Continue(aim.label),
            Leave::Return(Out::Err, value) => Flow::Return(Err(self.full(value)?)),
            Leave::Return(_, value) => Flow::Return(Ok(self.full(value)?)),
        })
    }

    fn looped(&mut self, looped: &'p Loop) -> Step<u32> {
        let limit = match &looped.head {
            Head::For(_, count) => self.expr(count)? % 4,
            Head::While(_, limit, _) | Head::WhileLet(_, _, limit) | Head::Loop(_, limit, _) => {
                *limit
            }
        };
        for turn in 0.. {
            let step = self.scope(|this| this.turn(looped, turn, limit));
            match step {
                Ok(true) => {}
                Ok(false) => break,
                Err(Flow::Break(label, value)) if label == looped.label => return Ok(value),
                Err(Flow::Continue(label)) if label == looped.label => {}
                Err(flow) => return Err(flow),
            }
        }
        Ok(0)
    }

    // Whether the loop goes on.
    fn turn(&mut self, looped: &'p Loop, turn: u32, limit: u32) -> Step<bool> {
        let checkpoint = self.program.has_checkpoint(looped);
        let more = turn < limit;
        match &looped.head {
            Head::For(id, _) => self.vars[*id] = turn,
            Head::While(_, _, cond) => {
                if !more || !self.cond(cond)? {
                    return Ok(false);
                }
            }
            Head::WhileLet(id, ..) => {
                self.checkpoint()?;
                self.vars[*id] = turn;
            }
            Head::Loop(_, _, value) => {
                if checkpoint {
                    self.checkpoint()?;
                }
                if !more {
                    return Err(Flow::Break(looped.label, self.full(value)?));
                }
            }
        }
        if more && checkpoint && !matches!(looped.head, Head::Loop(..)) {
            self.checkpoint()?;
        }
        if more {
            self.block(&looped.body)?;
        }
        Ok(more)
    }

    fn picked(&mut self, from: &'p Picked) -> Step<Option<u32>> {
        if from.awaited {
            self.checkpoint()?;
        }
        Ok(picked(self.expr(&from.from)?))
    }

    fn pend(&mut self, times: u32) -> Step<()> {
        for _ in 0..times {
            self.ticks += 1;
            self.checkpoint()?;
        }
        Ok(())
    }

    fn expr(&mut self, expr: &'p Expr) -> Step<u32> {
        self.steps += 1;
        if self.is_long() {
            return Err(Flow::Cancelled);
        }
        Ok(match expr {
            Expr::Number(n) => *n,
            Expr::Var(id) => self.vars[*id],
            Expr::Add(a, b) | Expr::Sum(a, b) => self.expr(a)?.wrapping_add(self.expr(b)?),
            Expr::Ready(_) | Expr::Pend(..) | Expr::Hold(..) | Expr::Try(true, _) => {
                self.checkpoint()?;
                self.awaited(expr)?
            }
            Expr::Try(false, value) => check(self.expr(value)?)?,
            Expr::If(cond, yes, no) => {
                let taken = if self.cond(cond)? { yes } else { no };
                self.block(taken)?
            }
            Expr::IfLet(id, from, also, yes, no) => {
                match self.scope(|this| this.if_let(*id, from, also.as_ref(), yes))? {
                    Some(value) => value,
                    None => self.block(no)?,
                }
            }
            Expr::Match(value, arms) => self.arms(value, arms)?,
            Expr::Block(block) => self.block(block)?,
            Expr::Labelled(id, block) => match self.block(block) {
                Err(Flow::Break(label, value)) if label == *id => value,
                step => step?,
            },
            Expr::Loop(looped) => self.scope(|this| this.looped(looped))?,
            Expr::Async(code) => self.code(code)?,
            Expr::Format(value) => u32::try_from(self.full(value)?.to_string().len()).unwrap_or(0),
            Expr::Matches(value) => u32::from(matches!(self.expr(value)?, 1..=3)),
        })
    }

    fn awaited(&mut self, expr: &'p Expr) -> Step<u32> {
        match expr {
            Expr::Pend(times, value) => {
                let value = self.expr(value)?;
                self.pend(*times)?;
                Ok(value)
            }
            Expr::Hold(id, times, value) => {
                self.held.push(Held::Mark(*id));
                let value = self.expr(value)?;
                self.pend(*times)?;
                Ok(value)
            }
            Expr::Try(_, value) => check(self.expr(value)?),
            Expr::Ready(value) => self.expr(value),
            other => self.expr(other),
        }
    }

    fn if_let(
        &mut self,
        id: Id,
        from: &'p Picked,
        also: Option<&'p Cond>,
        yes: &'p Block,
    ) -> Step<Option<u32>> {
        let Some(value) = self.picked(from)? else {
            return Ok(None);
        };
        self.vars[id] = value;
        match also {
            Some(also) if !self.cond(also)? => Ok(None),
            _ => self.block(yes).map(Some),
        }
    }

    fn arms(&mut self, value: &'p Expr, arms: &'p [(Option<Cond>, Block)]) -> Step<u32> {
        let chosen = self.expr(value)? as usize % arms.len();
        let last = arms.len() - 1;
        let (guard, arm) = &arms[chosen];
        let open = match guard {
            Some(guard) => self.cond(guard)?,
            None => true,
        };
        self.block(if open { arm } else { &arms[last].1 })
    }

    fn code(&mut self, code: &'p Async) -> Step<u32> {
        if let Form::Closure(id, value) | Form::Returned(id, value) = &code.form {
            self.vars[*id] = self.full(value)?;
        }
        self.checkpoint()?;
        let value = match self.block(&code.body) {
            Err(Flow::Return(value)) => value,
            step => Ok(step?),
        };
        match (value, code.outcome) {
            (Ok(value), _) | (Err(value), Outcome::Either) => Ok(value),
            (Err(value), _) => Err(Flow::Return(Err(value))),
        }
    }

    fn cond(&mut self, cond: &'p Cond) -> Step<bool> {
        self.scope(|this| {
            Ok(match cond {
                Cond::Less(a, b) => this.expr(a)? < this.expr(b)?,
                Cond::And(a, b) => this.cond(a)? && this.cond(b)?,
                Cond::Or(a, b) => this.cond(a)? || this.cond(b)?,
                Cond::Not(a) => !this.cond(a)?,
            })
        })
    }
}

fn check(value: u32) -> Step<u32> {
    if passes(value) {
        Ok(value)
    } else {
        Err(Flow::Return(Err(value)))
    }
}
