//! Jumps and other ways out of a piece of code.
//!
//! Most stay as they are. A jump out of guarded code, which is the rest of a block behind a `defer!`, leaves an
//! async block: it is noted in a slot and ends that block, and `cleanup` makes it behind that block.
//!
//! ```text
//! break 'rounds VALUE
//!
//! { __taskscope_jump_0 = Some(VALUE); match done().await {} }     // in the guarded code
//! if let Some(target) = __taskscope_jump_0 { break 'rounds target }   // behind it
//! ```
//!
//! Out of a cleanup nothing leads, and no jump out of the body of a group: these are reported.

use crate::diag::Mistake;
use crate::rewrite::{CodeKind, CodeScope, Rewriter};
use crate::syntax::path::mixed;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::visit_mut;
use syn::{Expr, Lifetime};

/// What a jump may aim at, or has to pass.
pub(super) enum Nesting {
    Loop(Option<Lifetime>),
    Block(Lifetime),
    /// The rest of a block behind a `defer!`: an async block of its own, so jumps
    /// out of it are noted in slots and made behind it.
    Guarded(Vec<JumpSlot>),
}

/// Where a jump out of guarded code is noted.
pub(super) struct JumpSlot {
    pub(super) name: Ident,
    pub(super) jump: Jump,
    /// Whether the jump is a `break` with a value.
    pub(super) valued: bool,
}

#[derive(Clone)]
pub(super) struct Jump {
    verb: Verb,
    label: Option<Lifetime>,
    span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Break,
    Continue,
}

/// How a jump reaches its target.
enum Route {
    Native,
    /// Out of guarded code, through this slot.
    Slot(Ident),
    /// To no target in this scope.
    Nowhere,
}

impl CodeScope {
    fn route(&mut self, jump: &Jump, valued: bool, slots: &mut usize) -> Route {
        let Some(target) = self.levels.iter().rposition(|level| level.is_target(jump)) else {
            return Route::Nowhere;
        };
        let guarded = self.levels[target..]
            .iter_mut()
            .rev()
            .find_map(Nesting::as_guarded);
        guarded.map_or(Route::Native, |guarded| {
            Route::Slot(note(guarded, jump, valued, slots))
        })
    }
}

impl Nesting {
    fn is_target(&self, jump: &Jump) -> bool {
        match (self, &jump.label) {
            (Self::Loop(_), None) => true,
            (Self::Loop(Some(own)), Some(label)) => own.ident == label.ident,
            (Self::Block(own), Some(label)) => jump.verb == Verb::Break && own.ident == label.ident,
            _ => false,
        }
    }

    fn as_guarded(&mut self) -> Option<&mut Vec<JumpSlot>> {
        match self {
            Self::Guarded(slots) => Some(slots),
            _ => None,
        }
    }
}

// Returns the slot of guarded code for one target, a new one if need be.
fn note(noted: &mut Vec<JumpSlot>, jump: &Jump, valued: bool, slots: &mut usize) -> Ident {
    if let Some(slot) = noted.iter_mut().find(|slot| slot.jump.has_target_of(jump)) {
        slot.valued |= valued;
        return slot.name.clone();
    }
    let name = Ident::new(&format!("__taskscope_jump_{slots}"), mixed(jump.span));
    *slots += 1;
    noted.push(JumpSlot {
        name: name.clone(),
        jump: jump.clone(),
        valued,
    });
    name
}

impl Jump {
    fn has_target_of(&self, other: &Self) -> bool {
        let label = |jump: &Self| jump.label.as_ref().map(|label| label.ident.to_string());
        self.verb == other.verb && label(self) == label(other)
    }

    fn word(&self) -> &'static str {
        match self.verb {
            Verb::Break => "break",
            Verb::Continue => "continue",
        }
    }

    fn to_native(&self, value: Option<&TokenStream>) -> TokenStream {
        let span = mixed(self.span);
        let word = Ident::new(self.word(), span);
        let label = &self.label;
        // As an operand, no lint takes a `continue` for a needless last statement.
        quote_spanned!(span=> match (#word #label #value) {})
    }
}

impl Rewriter<'_> {
    pub(super) fn visit_jump(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        let (verb, label, span, value) = match expr {
            Expr::Break(jump) => (Verb::Break, &jump.label, jump.break_token.span, &jump.expr),
            Expr::Continue(jump) => (Verb::Continue, &jump.label, jump.continue_token.span, &None),
            _ => return,
        };
        let (label, value) = (label.clone(), value.as_ref().map(ToTokens::to_token_stream));
        if let Some(tokens) = self.reroute(&Jump { verb, label, span }, value) {
            *expr = Expr::Verbatim(tokens);
        }
    }

    /// A jump, made here or noted for the guarded code that it leaves.
    pub(super) fn make_jump(&mut self, jump: &Jump, value: Option<TokenStream>) -> TokenStream {
        self.reroute(jump, value.clone())
            .unwrap_or_else(|| jump.to_native(value.as_ref()))
    }

    // A note in the slot and the end of the guard's body; nothing where the jump can stay as it is.
    fn reroute(&mut self, jump: &Jump, value: Option<TokenStream>) -> Option<TokenStream> {
        match self.scope.route(jump, value.is_some(), &mut self.slots) {
            Route::Native => None,
            Route::Slot(slot) => {
                let span = mixed(jump.span);
                let value = value.unwrap_or_else(|| quote_spanned!(span=> ()));
                let done = self.done(jump.span);
                Some(quote_spanned! {span=> {
                    #slot = ::core::option::Option::Some(#value);
                    #done
                }})
            }
            Route::Nowhere => self.refuse_exit(jump.word(), jump.span),
        }
    }

    /// The end of a guard's body, of type `!`.
    pub(super) fn done(&self, span: Span) -> TokenStream {
        let span = mixed(span);
        let private = self.krate.private(span);
        quote_spanned! {span=>
            match #private::done::<::core::convert::Infallible>().await {}
        }
    }

    // Reports a way out of a cleanup, or a jump out of a group, and stands in for it; nothing
    // elsewhere, where rustc has the say.
    fn refuse_exit(&mut self, word: &str, span: Span) -> Option<TokenStream> {
        match self.scope.kind {
            CodeKind::Cleanup(name) => self.refuse_in_cleanup(name, word, span),
            CodeKind::Group if ["break", "continue"].contains(&word) => {
                self.refuse_in_group(word, span)
            }
            _ => return None,
        }
        let span = mixed(span);
        Some(quote_spanned!(span=> ::core::unreachable!()))
    }

    fn refuse_in_cleanup(&mut self, name: &str, word: &str, span: Span) {
        let article = if name == "on_cancel" { "an" } else { "a" };
        let mistake = Mistake {
            what: &format!("`{word}` cannot leave {article} `{name}!` block"),
            why: "cleanup runs when the function is already being left",
            help: match word {
                "?" => "handle the error here: `if let Err(error) = … { … }`",
                "return" => "put the rest of the cleanup in an `if` or `match` instead",
                _ => "jump to a loop or label inside the block, or put the rest in an `if`",
            },
        };
        self.diag.report(span, &mistake);
    }

    fn refuse_in_group(&mut self, word: &str, span: Span) {
        let mistake = Mistake {
            what: &format!("`{word}` cannot leave the body of a `task_group!`"),
            why: "the body is async code of its own, and a loop around the group is not a part of it",
            help: &format!(
                "write `return Ok(…)` here, and `{word}` after the `.await` of the group, depending \
                 on its value"
            ),
        };
        self.diag.report(span, &mistake);
    }

    pub(super) fn visit_exit(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        let tokens = match expr {
            Expr::Return(expr) => self.refuse_exit("return", expr.return_token.span),
            Expr::Try(expr) => {
                let (value, span) = (&expr.expr, expr.question_token.span);
                let unwrapped = quote_spanned!(mixed(span)=> #value.unwrap());
                self.refuse_exit("?", span).map(|_| unwrapped)
            }
            _ => None,
        };
        if let Some(tokens) = tokens {
            *expr = Expr::Verbatim(tokens);
        }
    }
}
