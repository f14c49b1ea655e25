//! The type that `return` takes in some code, written into that code.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{ReturnType, Token, Type};

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
