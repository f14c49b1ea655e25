//! `#[cancellable(blocking)]`: plain functions that return a `Result`.

use crate::diag::{Diag, Mistake};
use syn::{ReturnType, Signature, Type};

/// A blocking function is plain and returns a `Result`.
pub(crate) fn check_blocking(sig: &Signature, diag: &mut Diag) -> bool {
    if let Some(asyncness) = &sig.asyncness {
        diag.report(asyncness.span, &IS_ASYNC);
        return true;
    }
    if let Some(constness) = &sig.constness {
        diag.report(constness.span, &IS_CONST);
        return false;
    }
    match &sig.output {
        ReturnType::Default => diag.report(sig.ident.span(), &NO_RESULT),
        ReturnType::Type(_, ty) if is_no_result(ty) => diag.report_over(ty, &NO_RESULT),
        ReturnType::Type(..) => return true,
    }
    false
}

const IS_ASYNC: Mistake = Mistake {
    what: "`blocking` on an `async fn`",
    why: "async code is cancelled where it awaits; `blocking` is for a function that `spawn_blocking` runs",
    help: "remove `blocking`, or `async`; loops that do not await are marked `#[checkpoint]`",
};

const IS_CONST: Mistake = Mistake {
    what: "`#[cancellable]` on a `const fn`",
    why: "it may run while the program is compiled, where nothing can cancel it",
    help: "remove the attribute",
};

const NO_RESULT: Mistake = Mistake {
    what: "a blocking function that returns no `Result`",
    why: "blocking code cannot be dropped: when it is cancelled, its loops return `Err`",
    help: "write `-> Result<T, E>`, where `E` is made `From<Cancelled>`, as `io::Error` and `BoxError` are",
};

/// Whether a plain function of an annotated `impl`, `trait` or `mod` is meant: one
/// that returns a `Result` by that name, as `io::Result<_>` or `MyResult` are.
pub(crate) fn returns_result(sig: &Signature) -> bool {
    let ReturnType::Type(_, ty) = &sig.output else {
        return false;
    };
    let named = last_name(ty).is_some_and(|name| name.ends_with("Result"));
    sig.asyncness.is_none() && sig.constness.is_none() && named
}

const OTHERS: &[&str] = &[
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
    "i128", "isize", "f32", "f64", "String", "Vec", "Option", "Box", "Rc", "Arc", "Self",
];

// A type that is seen not to be a `Result`; a name may be an alias for one.
fn is_no_result(ty: &Type) -> bool {
    match ty {
        Type::Path(_) => last_name(ty).is_some_and(|name| OTHERS.contains(&name.as_str())),
        Type::Macro(_) | Type::Infer(_) | Type::Verbatim(_) => false,
        Type::Group(ty) => is_no_result(&ty.elem),
        Type::Paren(ty) => is_no_result(&ty.elem),
        _ => true,
    }
}

fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(ty) if ty.qself.is_none() => Some(ty.path.segments.last()?.ident.to_string()),
        Type::Group(ty) => last_name(&ty.elem),
        _ => None,
    }
}
