//! Random programs: the same seed gives the same program.

use std::mem;

use super::interpret;
use super::program::{
    Aim, Async, Block, Cond, End, Expr, Form, Head, Id, Leave, Loop, Marker, Out, Outcome, Picked,
    Program, Stmt,
};

/// The program of a seed, of those that are neither trivial nor long.
pub(crate) fn program(seed: u64) -> Program {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    loop {
        let program = Grower::grow(&mut random);
        if interpret::run(&program, None).is_some_and(|run| run.log.len() > 3) {
            return program;
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn number(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(limit as usize)).unwrap_or(0)
    }

    // True so many times of a hundred.
    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }
}

/// What a jump can aim at.
#[derive(Clone, Copy)]
struct Target {
    label: Id,
    is_loop: bool,
    valued: bool,
}

/// What `return` leaves, if anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    Never,
    Plain,
    Fallible,
}

struct Grower<'r> {
    random: &'r mut Random,
    ids: usize,
    /// How much may still be added.
    budget: usize,
    guards: bool,
    guarded: bool,
    /// In scope, and whether they can be assigned to.
    vars: Vec<(Id, bool)>,
    targets: Vec<Target>,
    returns: Returns,
    /// In the condition of a `while`, where jumps need labels.
    condition: bool,
}

const DEPTH: usize = 4;

impl<'r> Grower<'r> {
    fn grow(random: &'r mut Random) -> Program {
        let fallible = random.percent(60);
        let guards = random.percent(75);
        let loops = random.percent(20);
        let budget = 40 + random.below(60);
        let mut grower = Grower {
            random,
            ids: 0,
            budget,
            guards,
            guarded: false,
            vars: Vec::new(),
            targets: Vec::new(),
            returns: returns(fallible),
            condition: false,
        };
        let body = grower.block(DEPTH, true);
        Program {
            fallible,
            loops,
            guarded: grower.guarded,
            body,
            ids: grower.ids,
        }
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        self.ids - 1
    }

    // What is declared by `grow` goes out of scope.
    fn scoped<T>(&mut self, grow: impl FnOnce(&mut Self) -> T) -> T {
        let height = self.vars.len();
        let grown = grow(self);
        self.vars.truncate(height);
        grown
    }

    fn aimed<T>(&mut self, target: Target, grow: impl FnOnce(&mut Self) -> T) -> T {
        self.targets.push(target);
        let grown = grow(self);
        self.targets.pop();
        grown
    }

    // Code that nothing jumps out of.
    fn within<T>(&mut self, returns: Returns, grow: impl FnOnce(&mut Self) -> T) -> T {
        let targets = mem::take(&mut self.targets);
        let outer = mem::replace(&mut self.returns, returns);
        let grown = self.scoped(grow);
        self.returns = outer;
        self.targets = targets;
        grown
    }

    fn block(&mut self, depth: usize, valued: bool) -> Block {
        self.scoped(|this| {
            let stmts = this.stmts(depth);
            let end = if depth < DEPTH && this.random.percent(15) {
                this.leave(depth).map(End::Leave)
            } else {
                None
            };
            let end = end.unwrap_or_else(|| this.end(depth, valued));
            Block {
                stmts,
                end: Box::new(end),
            }
        })
    }

    // A block that is sure to have a value.
    fn body(&mut self, depth: usize) -> Block {
        let stmts = self.stmts(depth);
        let end = Box::new(End::Value(self.expr(depth)));
        Block { stmts, end }
    }

    fn end(&mut self, depth: usize, valued: bool) -> End {
        match valued {
            true => End::Value(self.expr(depth)),
            false => End::Unit,
        }
    }

    fn stmts(&mut self, depth: usize) -> Vec<Stmt> {
        let most = if depth == DEPTH { 8 } else { 4 };
        let count = 1 + self.random.below(most);
        let mut stmts: Vec<Stmt> = (0..count).map(|_| self.stmt(depth)).collect();
        // A guard has to have something to guard.
        if let Some(Stmt::Defer(_) | Stmt::OnCancel(_)) = stmts.last() {
            stmts.push(self.log(depth));
        }
        stmts
    }

    fn log(&mut self, depth: usize) -> Stmt {
        let value = self.expr(depth.saturating_sub(1));
        Stmt::Log(self.id(), value)
    }

    fn stmt(&mut self, depth: usize) -> Stmt {
        self.budget = self.budget.saturating_sub(1);
        if depth == 0 || self.budget == 0 {
            return self.log(0);
        }
        let inner = depth - 1;
        match self.random.below(20) {
            0..3 => self.log(depth),
            3..6 => self.declare(inner),
            6..8 => self.assign(inner),
            8 => Stmt::Mark(self.id()),
            9..13 if self.guards => self.guard(inner),
            13..15 => Stmt::Maybe(self.cond(inner), self.block(inner, false)),
            15 => self.let_else(inner),
            16 => Stmt::Expr(self.expr(inner)),
            _ => {
                let looped = self.looped(inner, false);
                Stmt::Loop(looped)
            }
        }
    }

    fn declare(&mut self, depth: usize) -> Stmt {
        let value = self.expr(depth);
        let id = self.id();
        self.vars.push((id, true));
        Stmt::Let(id, value)
    }

    fn assign(&mut self, depth: usize) -> Stmt {
        let free: Vec<Id> = self
            .vars
            .iter()
            .filter(|var| var.1)
            .map(|var| var.0)
            .collect();
        match self.random.choose(&free) {
            Some(id) => Stmt::Assign(id, self.expr(depth)),
            None => self.declare(depth),
        }
    }

    fn guard(&mut self, depth: usize) -> Stmt {
        self.guarded = true;
        let cleanup = self.within(Returns::Never, |this| this.block(depth.min(2), false));
        match self.random.percent(75) {
            true => Stmt::Defer(cleanup),
            false => Stmt::OnCancel(cleanup),
        }
    }

    fn let_else(&mut self, depth: usize) -> Stmt {
        let picked = self.picked(depth);
        let stmts = self.stmts(0);
        let Some(leave) = self.leave(depth) else {
            return self.log(depth);
        };
        let id = self.id();
        self.vars.push((id, false));
        let end = Box::new(End::Leave(leave));
        Stmt::LetElse(id, picked, Block { stmts, end })
    }

    fn picked(&mut self, depth: usize) -> Picked {
        Picked {
            awaited: self.random.percent(50),
            from: Box::new(self.expr(depth)),
        }
    }

    fn leave(&mut self, depth: usize) -> Option<Leave> {
        let depth = depth.saturating_sub(2);
        let target = self.random.choose(&self.targets.clone());
        if let Some(target) = target.filter(|_| self.random.percent(80)) {
            let aim = self.aim(target.label);
            if target.is_loop && self.random.percent(40) {
                return Some(Leave::Continue(aim));
            }
            let value = target.valued.then(|| self.expr(depth));
            return Some(Leave::Break(aim, value));
        }
        let out = match self.returns {
            Returns::Never => return None,
            Returns::Plain => Out::Plain,
            Returns::Fallible if self.random.percent(30) => Out::Err,
            Returns::Fallible => Out::Ok,
        };
        Some(Leave::Return(out, self.expr(depth)))
    }

    // The innermost loop needs no label, unless a labelled block stands in between.
    fn aim(&mut self, label: Id) -> Aim {
        let innermost = self.targets.last();
        let can_omit = innermost.is_some_and(|last| last.is_loop && last.label == label);
        let named = !can_omit || self.condition || self.random.percent(40);
        Aim { label, named }
    }

    fn looped(&mut self, depth: usize, valued: bool) -> Loop {
        let label = self.id();
        let target = Target {
            label,
            is_loop: true,
            valued,
        };
        self.scoped(|this| {
            let head = this.head(depth, valued);
            let body = this.aimed(target, |this| this.block(depth, false));
            Loop {
                label,
                marker: this.marker(),
                head,
                body,
            }
        })
    }

    fn head(&mut self, depth: usize, valued: bool) -> Head {
        let limit = 1 + self.random.number(3);
        if valued {
            let value = self.expr(depth.saturating_sub(1));
            return Head::Loop(self.id(), limit, Box::new(value));
        }
        match self.random.below(3) {
            0 => {
                let count = self.expr(depth);
                let id = self.id();
                self.vars.push((id, false));
                Head::For(id, count)
            }
            1 => {
                let outer = mem::replace(&mut self.condition, true);
                let cond = self.cond(depth);
                self.condition = outer;
                Head::While(self.id(), limit, cond)
            }
            _ => {
                let id = self.id();
                self.vars.push((id, false));
                Head::WhileLet(id, self.id(), limit)
            }
        }
    }

    fn marker(&mut self) -> Marker {
        match self.random.below(6) {
            0 => Marker::Checkpoint,
            1 => Marker::NoCheckpoint,
            _ => Marker::None,
        }
    }

    fn leaf(&mut self) -> Expr {
        let vars: Vec<Id> = self.vars.iter().map(|var| var.0).collect();
        match self.random.choose(&vars) {
            Some(id) if self.random.percent(75) => Expr::Var(id),
            _ => Expr::Number(self.random.number(12)),
        }
    }

    fn boxed(&mut self, depth: usize) -> Box<Expr> {
        Box::new(self.expr(depth))
    }

    fn expr(&mut self, depth: usize) -> Expr {
        self.budget = self.budget.saturating_sub(1);
        if depth == 0 || self.budget == 0 || self.random.percent(20) {
            return self.leaf();
        }
        let inner = depth - 1;
        match self.random.below(24) {
            0..2 => Expr::Add(self.boxed(inner), self.boxed(inner)),
            2..4 => Expr::Ready(self.boxed(inner)),
            4..6 => Expr::Pend(self.random.number(3), self.boxed(inner)),
            6..8 => Expr::Hold(self.id(), self.random.number(3), self.boxed(inner)),
            8..10 if self.returns == Returns::Fallible => {
                Expr::Try(self.random.percent(60), self.boxed(inner))
            }
            10 => Expr::Format(self.boxed(inner)),
            11 => Expr::Sum(self.boxed(inner), self.boxed(inner)),
            12 => Expr::Matches(self.boxed(inner)),
            _ => self.branches(inner),
        }
    }

    fn branches(&mut self, depth: usize) -> Expr {
        match self.random.below(9) {
            0 => Expr::If(
                self.cond(depth),
                self.block(depth, true),
                self.block(depth, true),
            ),
            1 => self.if_let(depth),
            2 => self.arms(depth),
            3 => Expr::Block(self.block(depth, true)),
            4..6 => self.labelled(depth),
            6 => Expr::Loop(Box::new(self.looped(depth, true))),
            _ => Expr::Async(Box::new(self.code(depth))),
        }
    }

    fn if_let(&mut self, depth: usize) -> Expr {
        let picked = self.picked(depth);
        let otherwise = self.block(depth, true);
        self.scoped(|this| {
            let id = this.id();
            this.vars.push((id, false));
            let also = if this.random.percent(40) {
                Some(this.cond(depth))
            } else {
                None
            };
            Expr::IfLet(id, picked, also, this.block(depth, true), otherwise)
        })
    }

    fn arms(&mut self, depth: usize) -> Expr {
        let value = self.boxed(depth);
        let count = 2 + self.random.below(2);
        let mut arms: Vec<(Option<Cond>, Block)> = Vec::new();
        for _ in 1..count {
            let guard = if self.random.percent(25) {
                Some(self.cond(depth))
            } else {
                None
            };
            arms.push((guard, self.arm(depth)));
        }
        arms.push((None, self.arm(depth)));
        Expr::Match(value, arms)
    }

    fn arm(&mut self, depth: usize) -> Block {
        if self.random.percent(50) {
            return self.block(depth, true);
        }
        let leave = if self.random.percent(50) {
            self.leave(depth).map(End::Leave)
        } else {
            None
        };
        let end = leave.unwrap_or_else(|| End::Value(self.leaf()));
        Block {
            stmts: Vec::new(),
            end: Box::new(end),
        }
    }

    fn labelled(&mut self, depth: usize) -> Expr {
        let label = self.id();
        let target = Target {
            label,
            is_loop: false,
            valued: true,
        };
        Expr::Labelled(label, self.aimed(target, |this| this.block(depth, true)))
    }

    fn code(&mut self, depth: usize) -> Async {
        let outcome = match self.random.below(3) {
            0 => Outcome::Plain,
            1 if self.returns == Returns::Fallible => Outcome::Try,
            _ => Outcome::Either,
        };
        let form = match self.random.below(4) {
            0..2 => Form::Block,
            2 => Form::Move,
            _ if self.random.percent(70) => Form::Closure(self.id(), self.expr(depth)),
            _ => Form::Returned(self.id(), self.expr(depth)),
        };
        let body = self.captured(&form, outcome, depth);
        Async {
            form,
            outcome,
            body,
        }
    }

    // What moves gets copies: to assign to them would be something else.
    fn captured(&mut self, form: &Form, outcome: Outcome, depth: usize) -> Block {
        let outer = self.vars.clone();
        if matches!(form, Form::Move | Form::Returned(..)) {
            self.vars.iter_mut().for_each(|var| var.1 = false);
        }
        let returns = returns(!matches!(outcome, Outcome::Plain));
        let body = self.within(returns, |this| {
            if let Form::Closure(id, _) | Form::Returned(id, _) = form {
                this.vars.push((*id, false));
            }
            this.body(depth)
        });
        self.vars = outer;
        body
    }

    fn cond(&mut self, depth: usize) -> Cond {
        let inner = depth.saturating_sub(1);
        match self.random.below(7) {
            0 if depth > 0 => Cond::And(Box::new(self.cond(inner)), Box::new(self.cond(inner))),
            1 if depth > 0 => Cond::Or(Box::new(self.cond(inner)), Box::new(self.cond(inner))),
            2 if depth > 0 => Cond::Not(Box::new(self.cond(inner))),
            _ => Cond::Less(self.boxed(inner), self.boxed(inner)),
        }
    }
}

fn returns(fallible: bool) -> Returns {
    match fallible {
        true => Returns::Fallible,
        false => Returns::Plain,
    }
}
