//! Awaits that enter a group or a shield: no checkpoint, however what is awaited is wrapped.

use crate::syntax::known::arguments;
use crate::syntax::own::Own;
use crate::syntax::path::Crate;
use syn::{Block, Expr, ExprPath, Macro, Path, Stmt, Type};

/// Tells groups and shields by their names.
pub(crate) struct Ungated<'a> {
    pub(crate) krate: &'a Crate,
    pub(crate) own: &'a Own,
}

/// What an expression leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leads {
    ToUngated,
    /// It has no value.
    Away,
    Elsewhere,
}

impl Leads {
    fn either(self, other: Self) -> Self {
        match (self, other) {
            (Self::Away, leads) | (leads, Self::Away) => leads,
            (Self::ToUngated, Self::ToUngated) => Self::ToUngated,
            _ => Self::Elsewhere,
        }
    }

    fn to_ungated_if(enters: bool) -> Self {
        if enters {
            Self::ToUngated
        } else {
            Self::Elsewhere
        }
    }
}

impl Ungated<'_> {
    /// Whether what is awaited is a group or a shield, unless it is never reached.
    pub(crate) fn is_entered_by(&self, awaited: &Expr) -> bool {
        self.of(awaited) == Leads::ToUngated
    }

    fn of(&self, expr: &Expr) -> Leads {
        match expr {
            Expr::Macro(expr) => self.of_macro(&expr.mac),
            Expr::MethodCall(call) => self.of(&call.receiver),
            Expr::Call(call) => match &*call.func {
                Expr::Path(func) => Leads::to_ungated_if(
                    self.is_made_by(func)
                        || is_pin(&func.path)
                            && call.args.iter().any(|arg| self.is_entered_by(arg)),
                ),
                _ => Leads::Elsewhere,
            },
            Expr::Paren(expr) => self.of(&expr.expr),
            Expr::Group(expr) => self.of(&expr.expr),
            Expr::Reference(expr) => self.of(&expr.expr),
            Expr::Unary(expr) if matches!(expr.op, syn::UnOp::Deref(_)) => self.of(&expr.expr),
            Expr::Block(expr) => self.of_block(&expr.block),
            Expr::Unsafe(expr) => self.of_block(&expr.block),
            Expr::If(expr) => {
                let otherwise = expr.else_branch.as_ref();
                let otherwise = otherwise.map(|(_, otherwise)| self.of(otherwise));
                self.of_block(&expr.then_branch)
                    .either(otherwise.unwrap_or(Leads::Elsewhere))
            }
            Expr::Match(expr) => {
                let arms = expr.arms.iter().map(|arm| self.of(&arm.body));
                arms.fold(Leads::Away, Leads::either)
            }
            Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) => Leads::Away,
            _ => Leads::Elsewhere,
        }
    }

    fn of_block(&self, block: &Block) -> Leads {
        let (leads, has_value) = match block.stmts.last() {
            Some(Stmt::Expr(value, semi)) => (self.of(value), semi.is_none()),
            Some(Stmt::Macro(stmt)) => (self.of_macro(&stmt.mac), stmt.semi_token.is_none()),
            _ => return Leads::Elsewhere,
        };
        if has_value || leads == Leads::Away {
            leads
        } else {
            Leads::Elsewhere
        }
    }

    // `task_group!(…)`, or one that is pinned: `pin!(task_group!(…))`.
    fn of_macro(&self, mac: &Macro) -> Leads {
        let last = mac.path.segments.last();
        let is_one_of =
            |names: &[&str]| last.is_some_and(|last| names.iter().any(|name| last.ident == name));
        if is_one_of(&["panic", "todo", "unimplemented", "unreachable"]) {
            return Leads::Away;
        }
        let pinned = || {
            let pinned = arguments(mac).filter(|_| is_one_of(&["pin"]));
            pinned.is_some_and(|(parts, _)| parts.iter().any(|(expr, _)| self.is_entered_by(expr)))
        };
        let is_group = self.own.is_ours(self.krate, &mac.path, "task_group");
        Leads::to_ungated_if(is_group || pinned())
    }

    // `shield(…)`, `TaskGroup::new()`, `<TaskGroup>::new()`
    fn is_made_by(&self, func: &ExprPath) -> bool {
        match func.qself.as_ref().map(|qself| &*qself.ty) {
            Some(Type::Path(ty)) => self.is_ours(&ty.path, "TaskGroup"),
            Some(_) => false,
            None => {
                self.is_ours(&func.path, "shield")
                    || parent(&func.path).is_some_and(|ty| self.is_ours(&ty, "TaskGroup"))
            }
        }
    }

    fn is_ours(&self, path: &Path, name: &str) -> bool {
        let is_bare = path.segments.len() == 1;
        self.krate.has_path(path, name) && !(is_bare && self.own.has_ungated(self.krate, name))
    }
}

// `Box::pin`, `Pin::new`
fn is_pin(path: &Path) -> bool {
    let mut names = path.segments.iter().rev().map(|segment| &segment.ident);
    let (Some(function), Some(ty)) = (names.next(), names.next()) else {
        return false;
    };
    ty == "Pin" || ty == "Box" && function == "pin"
}

// From `a::TaskGroup::new` into `a::TaskGroup`.
fn parent(path: &Path) -> Option<Path> {
    let mut path = path.clone();
    path.segments.pop()?;
    path.segments.pop_punct()?;
    Some(path)
}
