//! `#[cancellable]`: parse, check, rewrite, emit.

use crate::args::Options;
use crate::check::{Checker, Site, check_function, check_other, group_argument, is_expanded};
use crate::diag::Diag;
use crate::item::{Function, Target, has_marker};
use crate::path::Crate;
use crate::rewrite::{Kind, Rewriter, Scope, output};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::VisitMut;
use syn::{
    Block, GenericArgument, ImplItem, Item, PathArguments, ReturnType, Signature, Stmt, TraitItem,
};
use syn::{Type, TypeParamBound};

/// The item with its async code made cancellable, beside the errors found in it.
pub(crate) fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let options = Options::parse(args, &mut diag);
    let mut cancellable = Cancellable {
        krate: Crate::new(options.krate.clone()),
        handed_on: options.handed_on(),
        options,
        diag,
    };
    let mut tokens = cancellable.target(item);
    tokens.extend(cancellable.diag.into_tokens());
    tokens
}

struct Cancellable {
    krate: Crate,
    options: Options,
    /// What groups in the function are told of the options.
    handed_on: TokenStream,
    diag: Diag,
}

impl Cancellable {
    fn target(&mut self, tokens: TokenStream) -> TokenStream {
        match Target::parse(tokens.clone()) {
            Target::Function(function) => self.function(*function),
            Target::Container(mut item) => {
                self.item(&mut item);
                item.into_token_stream()
            }
            Target::Other(keyword) => {
                check_other(&keyword, &mut self.diag);
                tokens
            }
            Target::Broken => tokens,
        }
    }

    fn function(&mut self, mut function: Function) -> TokenStream {
        if check_function(&function, &mut self.diag)
            && let Some(body) = &mut function.body
        {
            self.body(&function.sig, &mut body.block);
        }
        function.into_tokens()
    }

    fn item(&mut self, item: &mut Item) {
        match item {
            Item::Fn(f) if is_ours(&f.attrs, &f.sig, &f.block.stmts) => {
                self.body(&f.sig, &mut f.block);
            }
            Item::Impl(item) => item.items.iter_mut().for_each(|item| self.impl_item(item)),
            Item::Trait(item) => item.items.iter_mut().for_each(|item| self.trait_item(item)),
            Item::Mod(item) => {
                let items = item.content.iter_mut().flat_map(|(_, items)| items);
                items.for_each(|item| self.item(item));
            }
            _ => {}
        }
    }

    fn impl_item(&mut self, item: &mut ImplItem) {
        if let ImplItem::Fn(f) = item
            && is_ours(&f.attrs, &f.sig, &f.block.stmts)
        {
            self.body(&f.sig, &mut f.block);
        }
    }

    fn trait_item(&mut self, item: &mut TraitItem) {
        if let TraitItem::Fn(f) = item
            && let Some(block) = &mut f.default
            && is_ours(&f.attrs, &f.sig, &block.stmts)
        {
            self.body(&f.sig, block);
        }
    }

    fn body(&mut self, sig: &Signature, block: &mut Block) {
        self.check(sig, block);
        if sig.asyncness.is_some() {
            let scope = Scope::new(Kind::Async, output(&sig.output));
            self.rewriter(scope).visit_top_block(block);
        } else {
            self.expanded_body(sig, &mut block.stmts);
        }
    }

    // A function that another macro has made plain: its tail is the async code.
    fn expanded_body(&mut self, sig: &Signature, stmts: &mut [Stmt]) {
        let Some((Stmt::Expr(tail, None), before)) = stmts.split_last_mut() else {
            return;
        };
        let mut rewriter = self.rewriter(Scope::new(Kind::Plain, None));
        for stmt in before {
            rewriter.visit_stmt_mut(stmt);
        }
        let block = match tail {
            syn::Expr::Async(block) => Some(block),
            syn::Expr::Call(call) => match call.args.first_mut() {
                Some(syn::Expr::Async(block)) => Some(block),
                _ => None,
            },
            _ => None,
        };
        if let Some(block) = block {
            let scope = Scope::new(Kind::Async, future_output(&sig.output));
            rewriter.within(scope, |this| this.visit_top_block(&mut block.block));
        }
    }

    fn check(&mut self, sig: &Signature, block: &Block) {
        let mut checker = Checker {
            krate: &self.krate,
            diag: &mut self.diag,
            allow: self.options.allow,
            loops: self.options.loops,
            site: Site::Attribute,
            group: group_argument(&sig.inputs),
            plain: sig.asyncness.is_none(),
        };
        checker.body(block);
    }

    fn rewriter(&mut self, scope: Scope) -> Rewriter<'_> {
        let (loops, handed_on) = (self.options.loops, &self.handed_on);
        Rewriter::new(&self.krate, &mut self.diag, loops, scope).handing_on(handed_on)
    }
}

// Async code without an attribute of its own, which would rewrite it once more.
fn is_ours(attrs: &[syn::Attribute], sig: &Signature, stmts: &[Stmt]) -> bool {
    (sig.asyncness.is_some() || is_expanded(stmts)) && !has_marker(attrs, "cancellable")
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
