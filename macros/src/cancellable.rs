//! `#[cancellable]`: parse, check, rewrite, emit.

use crate::check::{
    Checker, FunctionKind, Site, check_blocking, check_body, check_function, check_other,
    check_send, expanded_at, is_expanded, refuse_boxed, returns_result,
};
use crate::diag::Diag;
use crate::rewrite::refusal::Refusal;
use crate::rewrite::send::send;
use crate::rewrite::{CodeKind, CodeScope, Rewriter, output};
use crate::syntax::editor::OptionNames;
use crate::syntax::item::{Function, ItemTarget, has_marker};
use crate::syntax::options::{Options, OptionsOf};
use crate::syntax::own::Own;
use crate::syntax::path::Crate;
use crate::syntax::unread::keep_unread;
use crate::syntax::written::restore_groups;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{
    Block, Expr, ExprAsync, GenericArgument, ImplItem, Item, ItemImpl, ItemTrait, PathArguments,
    ReturnType, Signature, Stmt, TraitItem,
};
use syn::{Type, TypeParamBound};

/// The item with its async code made cancellable, beside the errors found in it.
pub(crate) fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let option_names = OptionNames::read(OptionsOf::Cancellable, &args);
    let options = Options::parse(args, &mut diag);
    let mut cancellable = Cancellable {
        krate: Crate::new(options.krate.clone()),
        option_names: Some(option_names),
        options,
        own: Own::default(),
        kind: FunctionKind::default(),
        diag,
    };
    let mut tokens = restore_groups(item.clone(), cancellable.rewrite_target(item));
    tokens.extend(cancellable.diag.into_tokens());
    tokens
}

struct Cancellable {
    krate: Crate,
    /// Until a body has imported them.
    option_names: Option<OptionNames>,
    options: Options,
    /// What the module at hand declares.
    own: Own,
    /// What the functions of the item at hand are to their code.
    kind: FunctionKind,
    diag: Diag,
}

/// What is known of a function that has been read.
struct Checked {
    /// What is declared around it, and in it.
    own: Own,
    /// Statements to put into it, of which rustc warns.
    warnings: Vec<Stmt>,
    /// Without `send`, which is reported.
    spawns_itself: bool,
}

impl Cancellable {
    fn rewrite_target(&mut self, tokens: TokenStream) -> TokenStream {
        match ItemTarget::parse(tokens.clone()) {
            ItemTarget::Function(function) => self.rewrite_function(*function),
            ItemTarget::Container(mut item) => {
                self.rewrite_item(&mut item);
                item.into_token_stream()
            }
            ItemTarget::Other(keyword) => {
                check_other(&keyword, &mut self.diag);
                tokens
            }
            ItemTarget::Broken => keep_unread(tokens),
        }
    }

    fn rewrite_function(&mut self, mut function: Function) -> TokenStream {
        if self.accepts(&function) {
            let kind = self.kind.with(&function.attrs);
            let block = function.body.as_mut().map(|body| &mut body.block);
            if self.check_and_rewrite(kind, &mut function.sig, block) {
                function.change_head();
            }
        }
        function.into_tokens()
    }

    fn accepts(&mut self, function: &Function) -> bool {
        if self.options.send && !check_send(&function.sig, &mut self.diag) {
            false
        } else if self.options.send && function.body.is_none() {
            true
        } else if self.options.blocking {
            check_body(function, &mut self.diag) && check_blocking(&function.sig, &mut self.diag)
        } else {
            check_function(function, &mut self.diag)
        }
    }

    // The items of a container, or one of a module.
    fn rewrite_item(&mut self, item: &mut Item) {
        match item {
            Item::Fn(f) if self.is_ours(&f.attrs, &f.sig, &f.block.stmts) => {
                self.check_and_rewrite(
                    FunctionKind::Free.with(&f.attrs),
                    &mut f.sig,
                    Some(&mut f.block),
                );
            }
            Item::Impl(ItemImpl { attrs, .. }) | Item::Trait(ItemTrait { attrs, .. })
                if self.options.send && has_marker(attrs, "async_trait") =>
            {
                refuse_boxed(Span::call_site(), &mut self.diag);
            }
            Item::Impl(item) => {
                // A trait's method comes after the type's own of that name.
                self.kind = match item.trait_ {
                    Some(_) => FunctionKind::Other,
                    None => FunctionKind::Method.with(&item.attrs),
                };
                item.items
                    .iter_mut()
                    .for_each(|item| self.rewrite_impl_item(item));
            }
            Item::Trait(item) => {
                self.kind = FunctionKind::Method.with(&item.attrs);
                item.items
                    .iter_mut()
                    .for_each(|item| self.rewrite_trait_item(item));
            }
            Item::Mod(item) => {
                let items = item.content.iter_mut().flat_map(|(_, items)| items);
                self.rewrite_module(items.collect());
            }
            _ => {}
        }
    }

    // A module, whose names are not those around it.
    fn rewrite_module(&mut self, items: Vec<&mut Item>) {
        let outer = std::mem::take(&mut self.own);
        for item in &items {
            self.own.visit_item(item);
        }
        items.into_iter().for_each(|item| self.rewrite_item(item));
        self.own = outer;
    }

    fn rewrite_impl_item(&mut self, item: &mut ImplItem) {
        if let ImplItem::Fn(f) = item
            && self.is_ours(&f.attrs, &f.sig, &f.block.stmts)
        {
            self.check_and_rewrite(self.kind.with(&f.attrs), &mut f.sig, Some(&mut f.block));
        }
    }

    fn rewrite_trait_item(&mut self, item: &mut TraitItem) {
        if let TraitItem::Fn(f) = item {
            let stmts = f.default.as_ref().map_or(&[][..], |block| &block.stmts);
            if self.is_ours(&f.attrs, &f.sig, stmts) {
                let kind = self.kind.with(&f.attrs);
                self.check_and_rewrite(kind, &mut f.sig, f.default.as_mut());
            }
        }
    }

    // Whether that changes the signature.
    fn check_and_rewrite(
        &mut self,
        kind: FunctionKind,
        sig: &mut Signature,
        mut block: Option<&mut Block>,
    ) -> bool {
        let mut sends = self.options.send;
        if let Some(block) = &mut block {
            let checked = self.check(kind, sig, block);
            // As the report says, so that rustc does not say it once more.
            sends |= checked.spawns_itself;
            self.rewrite_body(sig, block, checked.own);
            let import = self
                .option_names
                .take()
                .and_then(|names| names.import(&self.krate));
            block
                .stmts
                .splice(..0, import.into_iter().chain(checked.warnings));
        }
        if sends {
            send(sig, block, &self.krate);
        }
        sends
    }

    fn rewrite_body(&mut self, sig: &Signature, block: &mut Block, own: Own) {
        let (kind, output) = if sig.asyncness.is_some() {
            (CodeKind::Async, output(&sig.output))
        } else if self.options.blocking {
            (CodeKind::Blocking, None)
        } else {
            (CodeKind::Plain, None)
        };
        let (krate, scope) = (&self.krate, CodeScope::new(kind, output));
        let mut rewriter = Rewriter::new(krate, &mut self.diag, &self.options, own, scope);
        rewriter.groups.enter_function(sig);
        rewriter.refusal = (kind == CodeKind::Blocking).then(|| Refusal::new(&sig.output));
        if kind == CodeKind::Plain {
            rewrite_expanded(sig, &mut block.stmts, &mut rewriter);
        } else {
            rewriter.visit_top_block(block);
        }
    }

    fn check(&mut self, kind: FunctionKind, sig: &Signature, block: &Block) -> Checked {
        let site = Site::Attribute;
        let mut checker = Checker::new(&self.krate, &mut self.diag, &self.options, site);
        checker.read_function(sig, block, &self.own);
        let may_recur = sig.asyncness.is_some() && !self.options.send;
        Checked {
            spawns_itself: may_recur && checker.report_recursion(sig, block, kind),
            own: checker.own,
            warnings: checker.warnings,
        }
    }

    // Code of an annotated container, without an attribute of its own, which would
    // rewrite it once more.
    fn is_ours(&self, attrs: &[syn::Attribute], sig: &Signature, stmts: &[Stmt]) -> bool {
        let plain = if self.options.blocking {
            returns_result(sig)
        } else {
            is_expanded(stmts)
        };
        (sig.asyncness.is_some() || plain) && !has_marker(attrs, "cancellable")
    }
}

// A function that another macro has made plain: one expression in it is async.
fn rewrite_expanded(sig: &Signature, stmts: &mut [Stmt], rewriter: &mut Rewriter) {
    let at = expanded_at(stmts);
    for (index, stmt) in stmts.iter_mut().enumerate() {
        let future = Some(index) == at;
        match future.then(|| future_in(stmt, sig)).flatten() {
            Some((future, output)) => {
                let scope = CodeScope::new(CodeKind::Async, output);
                rewriter.within(scope, |this| this.visit_top_block(&mut future.block));
            }
            None => rewriter.visit_stmt_mut(stmt),
        }
    }
}

// The async block of such a statement, and its type where it is written down.
fn future_in<'s>(stmt: &'s mut Stmt, sig: &Signature) -> Option<(&'s mut ExprAsync, Option<Type>)> {
    let (expr, output) = match stmt {
        Stmt::Expr(tail, None) => (tail, future_output(&sig.output)),
        Stmt::Local(body) => (&mut *body.init.as_mut()?.expr, output(&sig.output)),
        _ => return None,
    };
    let expr = match expr {
        Expr::Call(call) => call.args.first_mut()?,
        expr => expr,
    };
    match expr {
        Expr::Async(future) => Some((future, output)),
        _ => None,
    }
}

/// The `T` of the first `Future<Output = T>` in a return type.
fn future_output(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    find_output(ty)
}

fn find_output(ty: &Type) -> Option<Type> {
    match ty {
        Type::Path(ty) => arguments(&ty.path).find_map(|argument| match argument {
            GenericArgument::Type(ty) => find_output(ty),
            _ => None,
        }),
        Type::TraitObject(ty) => ty.bounds.iter().find_map(bound_output),
        Type::ImplTrait(ty) => ty.bounds.iter().find_map(bound_output),
        Type::Group(ty) => find_output(&ty.elem),
        Type::Paren(ty) => find_output(&ty.elem),
        _ => None,
    }
}

fn bound_output(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    arguments(&bound.path).find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(assoc.ty.clone()),
        _ => None,
    })
}

fn arguments(path: &syn::Path) -> impl Iterator<Item = &GenericArgument> {
    path.segments
        .iter()
        .filter_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
            _ => None,
        })
        .flatten()
}
