//! Code that cannot be read. Mostly it is still being typed, and rustc says what is wrong
//! with it. Where rustc finds nothing wrong, it must not run as if it had been read.

use crate::diag::Mistake;
use crate::syntax::witness;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

/// Items as they are, but for the bodies of their async functions.
pub(crate) fn keep_unread(items: TokenStream) -> TokenStream {
    let trees: Vec<TokenTree> = items.into_iter().collect();
    let body = |index| is_body(&trees, index);
    let bodies: Vec<bool> = (0..trees.len()).map(body).collect();
    let trees = trees.into_iter().zip(bodies);
    let trees = trees.map(|(tree, body)| match tree {
        TokenTree::Group(braces) if body => keep_unread_body(&braces).into(),
        TokenTree::Group(group) if group.delimiter() != Delimiter::Parenthesis => {
            with_stream(&group, keep_unread(group.stream())).into()
        }
        tree => tree,
    });
    trees.collect()
}

/// The braces of a body: rustc refuses to run it once it has nothing else to say.
pub(crate) fn keep_unread_body(braces: &Group) -> Group {
    with_stream(braces, keep_unread_code(braces.stream()))
}

/// The same of the statements in a body.
pub(crate) fn keep_unread_code(code: TokenStream) -> TokenStream {
    let guards = guards(&code);
    let mut trees: Vec<TokenTree> = code.into_iter().collect();
    let rest = trees.split_off(inner_attributes(&trees));
    let mut tokens: TokenStream = trees.into_iter().collect();
    tokens.extend(refusal());
    tokens.extend(guards);
    tokens.extend(rest);
    tokens
}

// How many trees `#![…]` takes up in front.
fn inner_attributes(trees: &[TokenTree]) -> usize {
    let is_inner = |attr: &&[TokenTree]| is_sign(&attr[0], '#') && is_sign(&attr[1], '!');
    3 * trees.chunks_exact(3).take_while(is_inner).count()
}

// A constant is evaluated when all else about its function is right.
fn refusal() -> TokenStream {
    let text = Mistake {
        what: "`#[cancellable]` and the like cannot read this function",
        why: "no await in it would be a checkpoint, and no cleanup would run",
        help: "write what is unusual in it in another way, or leave the attribute off",
    }
    .text();
    quote_spanned!(Span::mixed_site()=> const { ::core::panic!(#text) };)
}

// The guards that the body calls, of which nobody then asks where they are.
fn guards(body: &TokenStream) -> TokenStream {
    let called = ["defer", "on_cancel"].map(|name| bare_call(body, name));
    let guards = called.into_iter().flatten().map(|name| {
        let witness = witness::statement(&name.clone().into());
        quote! {
            #witness
            #[allow(unused_macros)]
            macro_rules! #name { ($($cleanup:tt)*) => { let _ = async { $($cleanup)* }; } }
        }
    });
    guards.collect()
}

// The first `name` of a `name!` without a path in front.
fn bare_call(tokens: &TokenStream, name: &str) -> Option<Ident> {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    trees
        .iter()
        .enumerate()
        .find_map(|(index, tree)| match tree {
            TokenTree::Ident(ident) => {
                let called = trees.get(index + 1).is_some_and(|next| is_sign(next, '!'));
                let bare = index == 0 || !is_sign(&trees[index - 1], ':');
                (ident == name && called && bare).then(|| ident.clone())
            }
            TokenTree::Group(group) => bare_call(&group.stream(), name),
            _ => None,
        })
}

// Whether the tree at `index` is what an `async fn` ends with: the last braces before the
// next function.
fn is_body(trees: &[TokenTree], index: usize) -> bool {
    let is_fn = |tree: &TokenTree| is_word(tree, "fn");
    let before = trees[..index].iter().rposition(is_fn);
    let is_async = before.is_some_and(|at| {
        let head = trees[..at].iter().rev();
        let mut words = head.take_while(|tree| matches!(tree, TokenTree::Ident(_)));
        words.any(|word| is_word(word, "async"))
    });
    let behind = &trees[index + 1..];
    let mut until_next = behind.iter().take_while(|tree| !is_fn(tree));
    is_async && is_braces(&trees[index]) && !until_next.any(is_braces)
}

fn is_braces(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

pub(crate) fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

pub(crate) fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

pub(crate) fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut changed = Group::new(group.delimiter(), stream);
    // Where rustc has found the end to be unexpected: it says so once.
    changed.set_span(group.span_close());
    changed
}
