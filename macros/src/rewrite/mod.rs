//! Awaits and loops become checkpoints.
//!
//! One pass, outside in. What a piece of code belongs to is its [`CodeScope`]: saved,
//! replaced and restored around closures, async blocks and cleanups. Blocks with a
//! `defer!` in them are the matter of `cleanup`.

mod bound;
mod cleanup;
mod generator;
pub(crate) mod group;
pub(crate) mod hint;
mod race;
pub(crate) mod refusal;
mod region;
pub(crate) mod send;

use crate::diag::{Diag, Mistake};
use crate::rewrite::hint::KnownGroups;
use crate::rewrite::refusal::Refusal;
use crate::rewrite::region::Regions;
use crate::syntax::item::is_marker;
use crate::syntax::known::{arguments, is_transparent, joins_foreign_futures};
use crate::syntax::lock::{match_takes_lock, matches_on_lock, takes_lock};
use crate::syntax::options::Options;
use crate::syntax::own::Own;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::ends;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote, quote_spanned};
use std::mem;
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Expr, Lifetime, Macro, Path, ReturnType, Stmt, Token, Type};

/// Rewrites the bodies of one macro input.
pub(crate) struct Rewriter<'a> {
    pub(crate) krate: &'a Crate,
    pub(crate) diag: &'a mut Diag,
    pub(crate) scope: CodeScope,
    options: &'a Options,
    /// What is declared around the code at hand, and in it.
    own: Own,
    /// The groups that the code at hand knows by name.
    pub(crate) groups: KnownGroups,
    /// How a loop of the blocking function at hand is left.
    pub(crate) refusal: Option<Refusal>,
    /// How many slots have been named.
    slots: usize,
}

/// What the code at hand belongs to: the nearest function, closure, async block or cleanup.
pub(crate) struct CodeScope {
    pub(crate) kind: CodeKind,
    /// The type that `return` takes, where it is written down.
    pub(crate) output: Option<Type>,
    /// What a `break` or `continue` may aim at or has to pass, outermost first.
    pub(crate) levels: Vec<Nesting>,
    /// Whether a lock is held that the head of a loop, a `match` or an `if let` around the code
    /// takes. Awaiting there would make the future not `Send`.
    locked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKind {
    Async,
    /// A plain function or closure: no await, so no checkpoint.
    Plain,
    /// A plain function whose loops have checkpoints that return.
    Blocking,
    /// The body of a `task_group!`: async, and nothing jumps out of it.
    Group,
    /// The block of the macro of this name; nothing leaves it at all.
    Cleanup(&'static str),
}

pub(crate) enum Nesting {
    Loop(Option<Lifetime>),
    Block(Lifetime),
    /// The rest of a block behind a `defer!`: an async block of its own, so jumps
    /// out of it are noted in slots and made behind it.
    Frame(Vec<JumpSlot>),
}

/// Where a jump out of a frame is noted.
pub(crate) struct JumpSlot {
    pub(crate) name: Ident,
    pub(crate) jump: Jump,
    /// Whether the jump is a `break` with a value.
    pub(crate) valued: bool,
}

#[derive(Clone)]
pub(crate) struct Jump {
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
    /// Out of a frame, through this slot.
    Slot(Ident),
    /// To no target in this scope.
    Nowhere,
}

/// The words that make the arguments of a macro worth reading.
const TELLING: &[&str] = &[
    "await",
    "break",
    "continue",
    "return",
    "loop",
    "while",
    "for",
    "defer",
    "on_cancel",
    "race",
    "task_group",
];

impl CodeScope {
    pub(crate) fn new(kind: CodeKind, output: Option<Type>) -> Self {
        Self {
            kind,
            output,
            levels: Vec::new(),
            locked: false,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.kind, CodeKind::Plain | CodeKind::Blocking)
    }

    fn route(&mut self, jump: &Jump, valued: bool, slots: &mut usize) -> Route {
        let Some(target) = self.levels.iter().rposition(|level| level.is_target(jump)) else {
            return Route::Nowhere;
        };
        let frame = self.levels[target..]
            .iter_mut()
            .rev()
            .find_map(Nesting::as_frame);
        frame.map_or(Route::Native, |frame| {
            Route::Slot(slot(frame, jump, valued, slots))
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

    fn as_frame(&mut self) -> Option<&mut Vec<JumpSlot>> {
        match self {
            Self::Frame(slots) => Some(slots),
            _ => None,
        }
    }
}

// The slot of a frame for one target, new if need be.
fn slot(frame: &mut Vec<JumpSlot>, jump: &Jump, valued: bool, slots: &mut usize) -> Ident {
    if let Some(slot) = frame.iter_mut().find(|slot| slot.jump.same_target(jump)) {
        slot.valued |= valued;
        return slot.name.clone();
    }
    let name = Ident::new(&format!("__taskscope_jump_{slots}"), mixed(jump.span));
    *slots += 1;
    frame.push(JumpSlot {
        name: name.clone(),
        jump: jump.clone(),
        valued,
    });
    name
}

impl Jump {
    fn same_target(&self, other: &Self) -> bool {
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

impl<'a> Rewriter<'a> {
    pub(crate) fn new(
        krate: &'a Crate,
        diag: &'a mut Diag,
        options: &'a Options,
        own: Own,
        scope: CodeScope,
    ) -> Self {
        Self {
            krate,
            diag,
            scope,
            options,
            own,
            groups: KnownGroups::default(),
            refusal: None,
            slots: 0,
        }
    }

    /// Whether `path` is taken for this crate's macro `name!`.
    pub(crate) fn is_ours(&self, path: &Path, name: &str) -> bool {
        self.own.is_ours(self.krate, path, name)
    }

    /// Whether the user's code declares a macro of this name.
    pub(crate) fn declares_macro(&self, name: &Ident) -> bool {
        self.own.declares_macro(name)
    }

    /// Runs `visit` with another scope.
    pub(crate) fn within(&mut self, scope: CodeScope, visit: impl FnOnce(&mut Self)) {
        let outer = mem::replace(&mut self.scope, scope);
        visit(self);
        self.scope = outer;
    }

    /// Runs `visit` one level further in, and gives the level back.
    pub(crate) fn below(
        &mut self,
        level: Nesting,
        visit: impl FnOnce(&mut Self),
    ) -> Option<Nesting> {
        self.scope.levels.push(level);
        visit(self);
        self.scope.levels.pop()
    }

    /// `NAME()`, whose `Location::caller()` is `span`.
    fn call(&self, name: &str, span: Span) -> TokenStream {
        let mut call = self.krate.private_fn(name, span);
        let mut nothing = Group::new(Delimiter::Parenthesis, TokenStream::new());
        nothing.set_span(span);
        call.append(nothing);
        call
    }

    fn gate(&self, span: Span) -> TokenStream {
        let mut gate = self.call("gate", span);
        let mixed = mixed(span);
        Token![.](mixed).to_tokens(&mut gate);
        Token![await](mixed).to_tokens(&mut gate);
        gate
    }

    fn regions(&self) -> Regions<'_> {
        Regions {
            krate: self.krate,
            own: &self.own,
        }
    }

    // From `EXPR.await` into `after(gate().await, EXPR).await`: one expression, so
    // that temporaries live as long as they did, whose outermost part is the user's
    // own await, so that lints and errors about its value stay what they were.
    fn gate_await(&mut self, expr: &mut Expr) {
        let enters = matches!(expr, Expr::Await(expr) if self.regions().entered_by(&expr.base));
        visit_mut::visit_expr_mut(self, expr);
        let Expr::Await(expr) = expr else { return };
        if enters {
            return;
        }
        let gate = self.gate(expr.await_token.span);
        unwrap_operand(&mut expr.base);
        let (start, end) = self.ends_of_call(&expr.base);
        let mut arguments = gate;
        Token![,](Span::call_site()).to_tokens(&mut arguments);
        expr.base.to_tokens(&mut arguments);
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(end);
        let mut call = self.krate.private_fn("after", start);
        call.append(arguments);
        *expr.base = Expr::Verbatim(call);
    }

    // The user's own span first and last: an error about the value shows it whole. Not so
    // where the user's code begins as our call does: clippy, which tells them apart by that,
    // would speak of the `()` in the call.
    fn ends_of_call(&self, awaited: &Expr) -> (Span, Span) {
        let (start, end) = ends_of(awaited);
        if first_path(awaited).is_some_and(|path| self.krate.begins_like(path)) {
            (mixed(start), mixed(end))
        } else {
            (start, end)
        }
    }

    fn visit_jump(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        let (jump, value) = match expr {
            Expr::Break(expr) => {
                let jump = Jump {
                    verb: Verb::Break,
                    label: expr.label.clone(),
                    span: expr.break_token.span,
                };
                (jump, expr.expr.as_ref().map(ToTokens::to_token_stream))
            }
            Expr::Continue(expr) => {
                let jump = Jump {
                    verb: Verb::Continue,
                    label: expr.label.clone(),
                    span: expr.continue_token.span,
                };
                (jump, None)
            }
            _ => return,
        };
        if let Some(tokens) = self.detour(&jump, value) {
            *expr = Expr::Verbatim(tokens);
        }
    }

    /// A jump, made here or noted for the frame that it leaves.
    pub(crate) fn jump(&mut self, jump: &Jump, value: Option<TokenStream>) -> TokenStream {
        self.detour(jump, value.clone())
            .unwrap_or_else(|| jump.to_native(value.as_ref()))
    }

    // From `break 'label VALUE` into a note in the slot and the end of the frame's
    // body; nothing where the jump can stay as it is.
    fn detour(&mut self, jump: &Jump, value: Option<TokenStream>) -> Option<TokenStream> {
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

    /// The end of a frame's body, of type `!`.
    pub(crate) fn done(&self, span: Span) -> TokenStream {
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
        self.diag.mistake(span, &mistake);
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
        self.diag.mistake(span, &mistake);
    }

    fn visit_exit(&mut self, expr: &mut Expr) {
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

    fn visit_loop(&mut self, expr: &mut Expr) {
        let Some(parts) = LoopParts::of(expr) else {
            return;
        };
        let locks = parts.header.as_ref().is_some_and(|head| match head {
            LoopHead::Iterator(iterator) => takes_lock(iterator),
            LoopHead::Condition(condition) => matches_on_lock(condition),
        });
        if let Some(LoopHead::Iterator(head) | LoopHead::Condition(head)) = parts.header {
            self.visit_expr_mut(head);
        }
        let label = parts.label.map(|label| label.name.clone());
        self.locked(locks, |this| {
            this.below(Nesting::Loop(label), |this| {
                this.visit_block_mut(parts.body)
            });
            if this.wants_checkpoint(parts.attrs) {
                let checkpoint = this.loop_checkpoint(parts.keyword);
                parts.body.stmts.insert(0, checkpoint);
            }
        });
    }

    fn visit_match(&mut self, expr: &mut syn::ExprMatch) {
        let locks = match_takes_lock(expr);
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.expr);
        self.locked(locks, |this| {
            expr.arms.iter_mut().for_each(|arm| this.visit_arm_mut(arm));
        });
    }

    // Up to edition 2021, what an `if let` takes is held in its `else`, too.
    fn visit_if(&mut self, expr: &mut syn::ExprIf) {
        let locks = matches_on_lock(&expr.cond);
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.cond);
        self.locked(locks, |this| {
            this.visit_block_mut(&mut expr.then_branch);
            if let Some((_, otherwise)) = &mut expr.else_branch {
                this.visit_expr_mut(otherwise);
            }
        });
    }

    // Runs `visit` where a lock may be held.
    fn locked(&mut self, locks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = self.scope.locked;
        self.scope.locked |= locks;
        visit(self);
        self.scope.locked = outer;
    }

    fn loop_checkpoint(&self, keyword: Span) -> Stmt {
        match &self.refusal {
            Some(refusal) if self.scope.kind == CodeKind::Blocking => {
                let leave = refusal.unless_refused(self.krate, keyword);
                Stmt::Expr(Expr::Verbatim(leave), None)
            }
            // Not a gate alone: while it is open, a round writes nothing for it to the future.
            _ => {
                let (closed, gate) = (self.call("closed", keyword), self.gate(keyword));
                let pause = quote_spanned!(mixed(keyword)=> if #closed { #gate });
                Stmt::Expr(Expr::Verbatim(pause), None)
            }
        }
    }

    // Takes the markers off a loop.
    fn wants_checkpoint(&mut self, attrs: &mut Vec<Attribute>) -> bool {
        let marked = attrs
            .extract_if(.., |attr| is_marker(attr, "checkpoint"))
            .last();
        let unmarked = attrs
            .extract_if(.., |attr| is_marker(attr, "no_checkpoint"))
            .last();
        let all = match self.scope.kind {
            CodeKind::Blocking => true,
            CodeKind::Plain => {
                if let Some(marker) = &marked {
                    let mistake = self.refusal.as_ref().map_or(&IN_PLAIN, |_| &IN_CLOSURE);
                    self.diag.mistake_over(marker, mistake);
                }
                return false;
            }
            CodeKind::Async | CodeKind::Group | CodeKind::Cleanup(_) => {
                self.options.loops && !self.scope.locked
            }
        };
        (marked.is_some() || all) && unmarked.is_none()
    }

    // From an argument of another crate's `join!` into a branch, which leaves in
    // order for itself.
    fn branch(&self, expr: &Expr) -> TokenStream {
        let (start, end) = ends(&expr.to_token_stream());
        let private = self.krate.private(mixed(start));
        let mut argument = Group::new(Delimiter::Parenthesis, expr.to_token_stream());
        argument.set_span(mixed(end));
        quote_spanned!(mixed(start)=> #private::solo #argument)
    }

    fn visit_labelled(&mut self, label: Lifetime, block: &mut Block) {
        self.below(Nesting::Block(label), |this| this.visit_block_mut(block));
    }

    // From the tokens of a macro into the same tokens with their awaits gated, where
    // they read as expressions.
    fn visit_arguments(&mut self, mac: &mut Macro) {
        let Some((mut parts, rest)) = arguments(mac) else {
            return;
        };
        let joins = joins_foreign_futures(&mac.path);
        let own = joins && rest.is_empty() && own_join_fits(&mac.path, &parts);
        let mut tokens = TokenStream::new();
        for (expr, separator) in &mut parts {
            self.visit_expr_mut(expr);
            // `biased;` is no branch.
            if joins && !own && !is_semicolon(separator.as_ref()) {
                tokens.extend(self.branch(expr));
            } else {
                expr.to_tokens(&mut tokens);
            }
            separator.to_tokens(&mut tokens);
        }
        tokens.extend(rest);
        mac.tokens = tokens;
        if own {
            self.use_own(&mut mac.path);
        }
    }

    // From `tokio::join` into `::taskscope::join`.
    pub(crate) fn use_own(&self, path: &mut Path) {
        let krate = self.krate.at(path.span());
        let name = path.segments.last().map(|last| &last.ident);
        if let Ok(own) = syn::parse2(quote!(#krate::#name)) {
            *path = own;
        }
    }
}

const IN_PLAIN: Mistake = Mistake {
    what: "`#[checkpoint]` in code that is not async",
    why: "a checkpoint awaits, and a plain closure or function cannot",
    help: "put it on a loop of the async code, or make the closure `async`",
};

const IN_CLOSURE: Mistake = Mistake {
    what: "`#[checkpoint]` in a closure of a blocking function",
    why: "the checkpoint of a loop returns, which would leave the closure alone",
    help: "write the loop outside the closure, or call `taskscope::thread::checkpoint_blocking()` in it",
};

impl VisitMut for Rewriter<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Await(_) if !self.scope.is_plain() => self.gate_await(expr),
            Expr::Macro(call) if self.is_group(&call.mac) => *expr = self.group_of(call),
            Expr::Break(_) | Expr::Continue(_) => self.visit_jump(expr),
            Expr::Return(_) | Expr::Try(_) => self.visit_exit(expr),
            Expr::ForLoop(_) | Expr::Loop(_) | Expr::While(_) => self.visit_loop(expr),
            Expr::Match(expr) => self.visit_match(expr),
            Expr::If(expr) => self.visit_if(expr),
            Expr::Block(syn::ExprBlock {
                label: Some(label),
                block,
                ..
            }) => {
                self.visit_labelled(label.name.clone(), block);
            }
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Macro(call) if self.is_group(&call.mac) => *stmt = self.group_statement(call),
            _ => visit_mut::visit_stmt_mut(self, stmt),
        }
    }

    fn visit_expr_method_call_mut(&mut self, call: &mut syn::ExprMethodCall) {
        // Asked before the block becomes what it no longer shows.
        let hint = self.groups.hint(self.krate, call);
        visit_mut::visit_expr_method_call_mut(self, call);
        if let (Some(hint), Some(task)) = (hint, call.args.last_mut()) {
            *task = Expr::Verbatim(quote!(#hint(#task)));
        }
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        self.visit_nested_block(block);
    }

    fn visit_expr_async_mut(&mut self, expr: &mut syn::ExprAsync) {
        let scope = CodeScope::new(CodeKind::Async, None);
        self.within(scope, |this| this.visit_top_block(&mut expr.block));
    }

    fn visit_expr_closure_mut(&mut self, expr: &mut syn::ExprClosure) {
        let kind = if expr.asyncness.is_some() {
            CodeKind::Async
        } else {
            CodeKind::Plain
        };
        // Without a `->`, what a closure returns is inferred.
        let ty = match &expr.output {
            ReturnType::Default => None,
            written => output(written),
        };
        self.within(CodeScope::new(kind, ty), |this| match &mut *expr.body {
            Expr::Block(body) if body.label.is_none() => {
                this.visit_top_block(&mut body.block);
            }
            body => this.visit_expr_mut(body),
        });
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        if self.refuse_misplaced(mac) {
            return;
        }
        if self.is_ours(&mac.path, "race") {
            return self.visit_race(mac);
        }
        let read = is_telling(&mac.tokens) || joins_foreign_futures(&mac.path);
        if read && is_transparent(&mac.path) {
            self.visit_arguments(mac);
        } else if read {
            self.refuse_in_generator(mac);
        }
    }

    // A marker on what is no loop has been reported, and would be reported once more.
    fn visit_attributes_mut(&mut self, attrs: &mut Vec<Attribute>) {
        attrs.retain(|attr| !is_marker(attr, "checkpoint") && !is_marker(attr, "no_checkpoint"));
    }

    // Of a pattern, only the guard of a match arm is code.
    fn visit_pat_mut(&mut self, pat: &mut syn::Pat) {
        if let syn::Pat::Guard(pat) = pat {
            self.visit_expr_mut(&mut pat.guard);
        }
    }

    // Other items, types and constants are no code of this function.
    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_path_mut(&mut self, _: &mut syn::Path) {}
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}
    fn visit_expr_const_mut(&mut self, _: &mut syn::ExprConst) {}
    fn visit_expr_repeat_mut(&mut self, array: &mut syn::ExprRepeat) {
        self.visit_expr_mut(&mut array.expr);
    }
}

/// What the three kinds of loops have in common.
struct LoopParts<'e> {
    attrs: &'e mut Vec<Attribute>,
    label: Option<&'e syn::Label>,
    keyword: Span,
    header: Option<LoopHead<'e>>,
    body: &'e mut Block,
}

/// What a loop begins each iteration with.
enum LoopHead<'e> {
    Iterator(&'e mut Expr),
    Condition(&'e mut Expr),
}

impl<'e> LoopParts<'e> {
    fn of(expr: &'e mut Expr) -> Option<Self> {
        let (attrs, label, keyword, header, body) = match expr {
            Expr::ForLoop(syn::ExprForLoop {
                attrs,
                label,
                for_token,
                expr,
                body,
                ..
            }) => (
                attrs,
                label,
                for_token.span,
                Some(LoopHead::Iterator(expr)),
                body,
            ),
            Expr::While(syn::ExprWhile {
                attrs,
                label,
                while_token,
                cond,
                body,
            }) => (
                attrs,
                label,
                while_token.span,
                Some(LoopHead::Condition(cond)),
                body,
            ),
            Expr::Loop(syn::ExprLoop {
                attrs,
                label,
                loop_token,
                body,
            }) => (attrs, label, loop_token.span, None, body),
            _ => return None,
        };
        Some(Self {
            attrs,
            label: label.as_ref(),
            keyword,
            header,
            body,
        })
    }
}

/// The type behind `->`, `()` without one; nothing if it cannot be written in a body.
pub(crate) fn output(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else {
        return Some(Type::Tuple(syn::TypeTuple {
            attrs: Vec::new(),
            paren_token: syn::token::Paren::default(),
            elems: syn::punctuated::Punctuated::new(),
        }));
    };
    let mut ty = Type::clone(ty);
    Inferred.visit_type_mut(&mut ty);
    (!matches!(ty, Type::Infer(_) | Type::Never(_))).then_some(ty)
}

/// Tells an async block its type, as a function's is told: without it a value is not
/// coerced, and a bare `Ok(())` has no error type.
pub(crate) fn output_hint(output: &Type, span: Span) -> TokenStream {
    quote_spanned! {span=>
        if let ::core::option::Option::Some(__taskscope_output) =
            ::core::option::Option::None::<#output>
        {
            return __taskscope_output;
        }
    }
}

// From `impl Trait` into `_`.
struct Inferred;

impl VisitMut for Inferred {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(opaque) = ty {
            let underscore_token = Token![_](opaque.impl_token.span);
            *ty = Type::Infer(syn::TypeInfer {
                attrs: Vec::new(),
                underscore_token,
            });
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}

// From `(EXPR)` into `EXPR`: what an await needs around its operand, an argument
// does not, and the user is not to be told so.
pub(crate) fn unwrap_operand(operand: &mut Expr) {
    match operand {
        Expr::Paren(paren) if paren.attrs.is_empty() => {
            *operand = mem::replace(&mut *paren.expr, Expr::PLACEHOLDER);
        }
        Expr::Block(block) => {
            let braces = &mut block.block.brace_token;
            *braces = Brace(mixed(braces.span.join()));
        }
        _ => {}
    }
}

// Another crate's `join!` gives what our own does, which also leaves the others in
// order when a branch panics. `try_join!` differs: its error comes at once.
fn own_join_fits(path: &Path, parts: &[(Expr, Option<TokenTree>)]) -> bool {
    const MOST: usize = 26;
    let name_fits = path
        .segments
        .last()
        .is_some_and(|last| last.ident == "join");
    let branches_alone = !parts
        .iter()
        .any(|(_, separator)| is_semicolon(separator.as_ref()));
    name_fits && branches_alone && parts.len() <= MOST
}

fn is_semicolon(separator: Option<&TokenTree>) -> bool {
    matches!(separator, Some(TokenTree::Punct(punct)) if punct.as_char() == ';')
}

// The same of an expression: what is awaited is mostly a chain of calls, whose ends are
// found without making tokens of it.
fn ends_of(expr: &Expr) -> (Span, Span) {
    match (first_span(expr), last_span(expr)) {
        (Some(start), Some(end)) => (start, end),
        _ => ends(&expr.to_token_stream()),
    }
}

fn first_span(expr: &Expr) -> Option<Span> {
    let path = first_path(expr)?;
    match &path.leading_colon {
        Some(colons) => colons.spans.first().copied(),
        None => path.segments.first().map(|first| first.ident.span()),
    }
}

// The path that an expression begins with.
fn first_path(expr: &Expr) -> Option<&Path> {
    match expr {
        Expr::MethodCall(expr) if expr.attrs.is_empty() => first_path(&expr.receiver),
        Expr::Call(expr) if expr.attrs.is_empty() => first_path(&expr.func),
        Expr::Field(expr) if expr.attrs.is_empty() => first_path(&expr.base),
        Expr::Index(expr) if expr.attrs.is_empty() => first_path(&expr.expr),
        Expr::Try(expr) if expr.attrs.is_empty() => first_path(&expr.expr),
        Expr::Macro(expr) if expr.attrs.is_empty() => Some(&expr.mac.path),
        Expr::Path(expr) if expr.attrs.is_empty() && expr.qself.is_none() => Some(&expr.path),
        _ => None,
    }
}

fn last_span(expr: &Expr) -> Option<Span> {
    match expr {
        Expr::MethodCall(expr) => Some(expr.paren_token.span.join()),
        Expr::Call(expr) => Some(expr.paren_token.span.join()),
        _ => None,
    }
}

fn is_telling(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => TELLING.contains(&&*word.to_string()),
        TokenTree::Group(group) => is_telling(&group.stream()),
        TokenTree::Punct(punct) => punct.as_char() == '?',
        TokenTree::Literal(_) => false,
    })
}
