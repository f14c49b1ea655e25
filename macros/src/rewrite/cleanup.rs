//! `defer!` and `on_cancel!`: the rest of the block becomes the body of a guard, and
//! the cleanup runs behind it, where the block's locals still are.

use crate::diag::Mistake;
use crate::rewrite::bound::Bound;
use crate::rewrite::jumps::{JumpSlot, Nesting};
use crate::rewrite::{CodeKind, CodeScope, Rewriter, output_hint};
use crate::syntax::editor::is_in_editor;
use crate::syntax::known::{is_transparent, names};
use crate::syntax::path::mixed;
use crate::syntax::repair::{Holes, Listed, read_repaired};
use crate::syntax::span::end_of;
use crate::syntax::witness;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::VisitMut;
use syn::{Attribute, Block, Expr, Macro, Stmt, StmtMacro, Token};

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Cancelled,
}

/// Whether a block is what `return` leaves, or stands inside of that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Top,
    Nested,
}

/// One `defer! { … }` or `on_cancel! { … }`.
struct GuardStmt {
    when: When,
    /// The macro's own name in the source.
    name: Span,
    cleanup: TokenStream,
}

impl When {
    const ALL: [Self; 2] = [Self::Always, Self::Cancelled];

    fn name(self) -> &'static str {
        match self {
            Self::Always => "defer",
            Self::Cancelled => "on_cancel",
        }
    }
}

// From `close().await` at the end into `close().await;`: nobody gets what a cleanup gives,
// and whether it may be left unused is said by the lint for that.
fn end_with_a_statement(cleanup: &mut [Stmt]) {
    if let Some(Stmt::Expr(value, semi @ None)) = cleanup.last_mut()
        && !is_block_like(value)
    {
        *semi = Some(Token![;](Span::mixed_site()));
    }
}

// Takes the items out of the rest of a block: they are known in all of it, so they must not end
// up in the guard's body. Not those that mean something else elsewhere: a `macro_rules!` is known
// only from where it stands, and names what it mentions there.
fn take_items(
    rest: &mut Vec<Stmt>,
    may_declare: impl Fn(&Stmt) -> bool,
) -> impl Iterator<Item = Stmt> {
    let mut stays = Bound::find(rest, may_declare).into_iter();
    rest.extract_if(.., move |stmt| {
        let stays = stays.next().unwrap_or(true);
        matches!(stmt, Stmt::Item(_)) && !stays
    })
}

// Where a `;` would be one too many.
fn is_block_like(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Block(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::Unsafe(_)
            | Expr::Verbatim(_)
            | Expr::While(_)
    )
}

impl Rewriter<'_> {
    /// The block of a function, of an async block or of an async closure.
    pub(crate) fn visit_top_block(&mut self, block: &mut Block) {
        self.visit_block_of(block, BlockKind::Top);
    }

    /// Any block inside of one.
    pub(crate) fn visit_nested_block(&mut self, block: &mut Block) {
        self.visit_block_of(block, BlockKind::Nested);
    }

    // A block that ends in guarded code is no longer as the user wrote it, so lints about
    // its form do not apply.
    fn visit_block_of(&mut self, block: &mut Block, kind: BlockKind) {
        let guarded = block.stmts.iter().any(|stmt| self.guard_of(stmt).is_some());
        if guarded {
            block.brace_token = Brace(mixed(block.brace_token.span.join()));
        }
        let groups = self.groups.clone();
        self.visit_stmts(&mut block.stmts, kind);
        self.groups = groups;
    }

    /// Reports a guard that is no statement of a block.
    pub(crate) fn refuse_misplaced(&mut self, mac: &mut Macro) -> bool {
        let Some(when) = self.guard_kind(mac) else {
            return false;
        };
        let name = when.name();
        self.diag.report_over(
            &mac.path,
            &Mistake {
                what: &format!("`{name}!` used as an expression"),
                why: "it guards the statements that follow it in its block",
                help: &format!("write `{name}! {{ … }}` as a statement of its own"),
            },
        );
        // Of the type `()`, as it would be, so that the error remains the only one.
        mac.tokens = witness::input(&mac.path);
        mac.tokens
            .extend(quote_spanned!(mixed(Span::call_site())=> ()));
        true
    }

    fn visit_stmts(&mut self, stmts: &mut Vec<Stmt>, kind: BlockKind) {
        let guard = stmts.iter().position(|stmt| self.guard_of(stmt).is_some());
        let mut rest = guard.map_or_else(Vec::new, |guard| stmts.split_off(guard));
        for stmt in &mut *stmts {
            self.visit_stmt_mut(stmt);
        }
        if rest.is_empty() {
            return;
        }
        let guard = rest.remove(0);
        stmts.extend(
            self.guard_of(&guard)
                .map(|(_, mac, _)| witness::statement(&mac.path)),
        );
        let may_declare = |stmt: &Stmt| self.may_declare(stmt);
        stmts.extend(take_items(&mut rest, may_declare));
        let end = rest.is_empty().then_some(kind);
        let Some(read) = self.read_guard(&guard, end) else {
            stmts.extend(self.refused_cleanup(&guard));
            return self.visit_unguarded(stmts, rest, kind);
        };
        let guarded = self.guarded(&read, rest, kind);
        stmts.push(Stmt::Expr(Expr::Verbatim(guarded), None));
    }

    // The cleanup of a guard that was refused, which never runs, for rustc and editors to look
    // at. Most often the guard is still being typed, and the code that it guards is not there yet.
    fn refused_cleanup(&mut self, guard: &Stmt) -> Option<Stmt> {
        let (when, mac, _) = self.guard_of(guard)?;
        let cleanup = self.read_cleanup(when, mac);
        let span = mixed(mac.path.span());
        let unused = quote_spanned!(span=> let _ = async { #cleanup };);
        Some(Stmt::Expr(Expr::Verbatim(unused), None))
    }

    // After a guard that was refused, the block goes on as if without it.
    fn visit_unguarded(&mut self, stmts: &mut Vec<Stmt>, mut rest: Vec<Stmt>, kind: BlockKind) {
        self.visit_stmts(&mut rest, kind);
        stmts.append(&mut rest);
    }

    fn guard_kind(&self, mac: &Macro) -> Option<When> {
        When::ALL
            .into_iter()
            .find(|when| self.is_ours(&mac.path, when.name()))
    }

    /// `defer` or `on_cancel`, where `mac` is taken for that.
    pub(crate) fn guard_name(&self, mac: &Macro) -> Option<&'static str> {
        self.guard_kind(mac).map(When::name)
    }

    fn guard_of<'s>(&self, stmt: &'s Stmt) -> Option<(When, &'s Macro, &'s [Attribute])> {
        let (mac, attrs) = match stmt {
            Stmt::Macro(stmt) => (&stmt.mac, &stmt.attrs),
            Stmt::Expr(Expr::Macro(expr), _) => (&expr.mac, &expr.attrs),
            _ => return None,
        };
        Some((self.guard_kind(mac)?, mac, attrs))
    }

    // Whether a statement is a macro that may expand to items. The well-known ones do not, where
    // they are not the user's own.
    fn may_declare(&self, stmt: &Stmt) -> bool {
        let Stmt::Macro(StmtMacro { mac, .. }) = stmt else {
            return false;
        };
        let own = mac.path.get_ident();
        let is_own = own.is_some_and(|name| self.declares_macro(name));
        let is_ours = ["defer", "on_cancel", "race", "task_group"]
            .iter()
            .any(|name| self.is_ours(&mac.path, name));
        let names = names(&mac.path);
        let is_select = names.last().is_some_and(|last| last == "select");
        is_own || !(is_ours || is_select || is_transparent(&mac.path))
    }

    // The guard of a statement, its cleanup rewritten; nothing once it is reported. `end` is the
    // kind of its block where nothing follows it.
    fn read_guard(&mut self, stmt: &Stmt, end: Option<BlockKind>) -> Option<GuardStmt> {
        let (when, mac, attrs) = self.guard_of(stmt)?;
        let name = when.name();
        if let Some(mistake) = self.misplaced(name, end) {
            self.diag.push(mistake.at_path(mac));
            return None;
        }
        if let Some(attr) = attrs.first() {
            self.diag.report_over(
                attr,
                &Mistake {
                    what: &format!("attribute on `{name}!`"),
                    why: "it would have to apply to the rest of the block too",
                    help: "put it on a statement inside the block",
                },
            );
        }
        let name = mac.path.segments.last()?.ident.span();
        Some(GuardStmt {
            when,
            name,
            cleanup: self.read_cleanup(when, mac),
        })
    }

    fn misplaced(&self, name: &'static str, end: Option<BlockKind>) -> Option<Misplaced> {
        let end = end.filter(|_| !self.scope.is_plain());
        (self.scope.is_plain() || end.is_some()).then_some(Misplaced { name, end })
    }

    // The cleanup is an async block that nothing jumps out of.
    fn read_cleanup(&mut self, when: When, mac: &Macro) -> TokenStream {
        let read = |tokens| Block::parse_within.parse2(tokens);
        let (cleanup, holes) = read_repaired(&mac.tokens, Listed::Statements, read, Result::is_ok);
        if (holes == Holes::Filled && !is_in_editor()) || cleanup.is_err() {
            let error = mac.parse_body_with(Block::parse_within).err();
            error.into_iter().for_each(|error| self.diag.push(error));
        }
        let mut stmts = cleanup.unwrap_or_default();
        end_with_a_statement(&mut stmts);
        let scope = CodeScope::new(CodeKind::Cleanup(when.name()), None);
        self.within(scope, |this| this.visit_stmts(&mut stmts, BlockKind::Top));
        holes.close(quote!(#(#stmts)*), self.diag)
    }

    fn guarded(&mut self, guard: &GuardStmt, rest: Vec<Stmt>, kind: BlockKind) -> TokenStream {
        match kind {
            BlockKind::Top => self.guarded_top(guard, rest),
            BlockKind::Nested => self.guarded_nested(guard, rest),
        }
    }

    // From the rest of a top block into a guard whose body is that rest: `return`
    // and `?` in it end the body with the function's own value.
    fn guarded_top(&mut self, guard: &GuardStmt, mut rest: Vec<Stmt>) -> TokenStream {
        self.visit_stmts(&mut rest, BlockKind::Top);
        let GuardLocals { armed, exit, .. } = &guard.locals();
        let output = self.output_hint(guard.mixed());
        let guarded = self.body_and_cleanup(guard, &quote!(#output #(#rest)*));
        quote_spanned!(guard.mixed()=> { #guarded #armed.finish(#exit).await })
    }

    // From the rest of a nested block into a guard: `return` and `?` end the body
    // with the function's value, everything else is noted in a local and the body
    // ends with `done()`.
    fn guarded_nested(&mut self, guard: &GuardStmt, mut rest: Vec<Stmt>) -> TokenStream {
        let level = self.below(Nesting::Guarded(Vec::new()), |this| {
            this.visit_stmts(&mut rest, BlockKind::Nested);
        });
        let slots = if let Some(Nesting::Guarded(slots)) = level {
            slots
        } else {
            Vec::new()
        };
        let span = guard.mixed();
        let GuardLocals { armed, exit, value } = &guard.locals();
        let (output, done) = (self.output_hint(span), self.done(span));
        let body = quote_spanned! {span=>
            #output
            #[allow(clippy::diverging_sub_expression)]
            let __taskscope_rest = { #(#rest)* };
            #[allow(unreachable_code)]
            {
                #value = ::core::option::Option::Some(__taskscope_rest);
                #done
            }
        };
        let guarded = self.body_and_cleanup(guard, &body);
        let names = slots.iter().map(|slot| &slot.name);
        let go_on = self.continuation(value, &slots, span);
        quote_spanned! {span=> {
            let mut #value = ::core::option::Option::None;
            #(let mut #names = ::core::option::Option::None;)*
            #guarded
            match #armed.finish_block(#exit).await {
                ::core::option::Option::Some(__taskscope_output) => return __taskscope_output,
                ::core::option::Option::None => #go_on,
            }
        }}
    }

    // Body and cleanup of a guard, one after the other. Called by their paths: a method
    // that borrows comes after those of the user's traits that take any type by value.
    fn body_and_cleanup(&self, guard: &GuardStmt, body: &TokenStream) -> TokenStream {
        let span = guard.mixed();
        let private = self.krate.private(span);
        let GuardLocals { armed, exit, .. } = &guard.locals();
        let (arm, cleanup) = (self.armed(guard), &guard.cleanup);
        // What a block borrows or moves, rustc shows at its `async`.
        let asyncness = Token![async](mixed(guard.name));
        let cleanup = quote_spanned! {span=>
            #private::Guard::cleanup(&mut #armed, #asyncness { #cleanup }).await;
        };
        let cleanup = match guard.when {
            When::Always => cleanup,
            When::Cancelled => quote_spanned!(span=> if #exit.is_cancelled() { #cleanup }),
        };
        quote_spanned! {span=>
            let mut #armed = #arm;
            let #exit = #private::Guard::body(&mut #armed, #asyncness { #body }).await;
            #cleanup
        }
    }

    // Located in the user's code, which is where `Location::caller()` looks.
    fn armed(&self, guard: &GuardStmt) -> TokenStream {
        let span = end_of(guard.name);
        let private = self.krate.private(span);
        let arm = match guard.when {
            When::Always => "arm",
            When::Cancelled => "arm_on_cancel",
        };
        let arm = Ident::new(arm, span);
        quote_spanned!(span=> #private::Guard::#arm())
    }

    fn output_hint(&self, span: Span) -> Option<TokenStream> {
        let output = self.scope.output.as_ref();
        output.map(|output| output_hint(output, span))
    }

    // The block's value, or the jump that was noted.
    fn continuation(&mut self, value: &Ident, slots: &[JumpSlot], span: Span) -> TokenStream {
        let some = quote_spanned!(span=> ::core::option::Option::Some);
        let mut tokens = quote_spanned! {span=>
            if let #some(__taskscope_value) = #value { __taskscope_value } else
        };
        for JumpSlot { name, jump, valued } in slots {
            let target = valued.then(|| quote_spanned!(span=> __taskscope_target));
            let binding = target.clone().unwrap_or_else(|| quote_spanned!(span=> ()));
            let jump = self.make_jump(jump, target);
            tokens.extend(quote_spanned!(span=> if let #some(#binding) = #name { #jump } else));
        }
        tokens.extend(quote_spanned!(span=> { ::core::unreachable!() }));
        quote_spanned!(span=> { #tokens })
    }
}

/// The expansion's own variables; the user's code cannot see them.
struct GuardLocals {
    armed: Ident,
    exit: Ident,
    value: Ident,
}

impl GuardStmt {
    fn mixed(&self) -> Span {
        mixed(end_of(self.name))
    }

    fn locals(&self) -> GuardLocals {
        let local = |name| Ident::new(name, self.mixed());
        GuardLocals {
            armed: local("__taskscope_armed"),
            exit: local("__taskscope_exit"),
            value: local("__taskscope_value"),
        }
    }
}

/// A guard where it cannot guard anything.
struct Misplaced {
    name: &'static str,
    /// The block of which it is the last thing; without one, it is in code that is not async.
    end: Option<BlockKind>,
}

impl Misplaced {
    fn at_path(&self, mac: &Macro) -> syn::Error {
        let name = self.name;
        let last = format!("`{name}!` is the last thing in its block");
        let (what, why, help) = match self.end {
            Some(BlockKind::Top) => (
                last,
                "it guards what follows it in the block, and nothing does",
                "move it up, after the line that acquires what it cleans up".to_owned(),
            ),
            Some(BlockKind::Nested) => (
                last,
                "it guards what follows it in this block alone, and nothing does",
                format!(
                    "to guard what follows the block, write it there, with the condition inside: \
                     `{name}! {{ if … {{ … }} }}`"
                ),
            ),
            None => (
                format!("`{name}!` in code that is not async"),
                "its cleanup is awaited, and a plain closure or function cannot await",
                "make the closure `async`, or move the block into the async code around it"
                    .to_owned(),
            ),
        };
        let bang = mac.bang_token.to_token_stream();
        let path = mac.path.to_token_stream();
        syn::Error::new_spanned(
            quote!(#path #bang),
            Mistake {
                what: &what,
                why,
                help: &help,
            }
            .text(),
        )
    }
}
