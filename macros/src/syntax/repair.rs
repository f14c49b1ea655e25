//! Completes code that is still being typed, so that it can be read.
//!
//! To complete a name in the input of a macro, an editor expands the macro twice, once as the
//! input is and once with a name at the cursor. It looks for the cursor at the same offset of both
//! expansions. The first input often does not parse:
//!
//! ```text
//! task_group!(|g| { g. })           task_group!(|g| { g.name })           no method yet
//! task_group!(|g| { let a = g. let  task_group!(|g| { let a = g.name let  no `;` yet
//! ```
//!
//! An expansion without the body, or with parts of it in other places, would put the cursor somewhere else, and
//! the editor would offer nothing. So the input is read in three steps:
//!
//! 1. A *hole*, which is a name, is filled in after a `.`, `::` or operator that nothing follows, and between
//!    two words that cannot stand side by side: `.hole.` after a member, since the input as it is
//!    goes on there with the next line's name, and `; hole ;` after anything else.
//! 2. The filled input is parsed and rewritten like any other.
//! 3. The holes are taken out of the expansion, so that rustc sees the mistake that the user made, or they
//!    are closed, where the mistake is reported. An editor is told where they were.
//!
//! Only input that does not parse is filled, and the input of a macro in it is left to that macro. So each hole
//! stands where rustc misses something, too: code whose holes are taken out never compiles.

use crate::diag::Diag;
use crate::syntax::editor::{is_in_editor, report_in_editor};
use crate::syntax::known::mentions;
use crate::syntax::unread::{is_sign, is_word, with_stream};
use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

const HOLE: &str = "__taskscope_hole";

/// Whether holes were filled into the code that was read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Holes {
    #[default]
    None,
    Filled,
}

/// What the words at hand are part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Statements,
    /// Arguments, or branches.
    Arguments,
}

/// Reads `tokens` as they are or, if only that helps, with holes.
pub(crate) fn read_repaired<T>(
    tokens: &TokenStream,
    listed: Listed,
    mut read: impl FnMut(TokenStream) -> T,
    is_read: impl Fn(&T) -> bool,
) -> (T, Holes) {
    let plain = read(tokens.clone());
    if is_read(&plain) {
        return (plain, Holes::None);
    }
    let repaired = read(fill(tokens.clone(), listed));
    if is_read(&repaired) {
        (repaired, Holes::Filled)
    } else {
        (plain, Holes::None)
    }
}

impl Holes {
    /// The tokens as they were without holes.
    pub(crate) fn take_out(self, tokens: TokenStream, diag: &mut Diag) -> TokenStream {
        if self == Self::None {
            return tokens;
        }
        report_holes(&tokens, diag);
        without_holes(tokens, leave_nothing)
    }

    /// The tokens without holes and, for rustc, without what needs them.
    pub(crate) fn close(self, tokens: TokenStream, diag: &mut Diag) -> TokenStream {
        if self == Self::None || is_in_editor() {
            return self.take_out(tokens, diag);
        }
        without_holes(tokens, leave_code)
    }
}

fn report_holes(tokens: &TokenStream, diag: &mut Diag) {
    for tree in tokens.clone() {
        if let TokenTree::Group(group) = &tree {
            report_holes(&group.stream(), diag);
        } else if is_word(&tree, HOLE) {
            let error = syn::Error::new(tree.span(), "incomplete expression or statement");
            report_in_editor(error, diag);
        }
    }
}

fn fill(tokens: TokenStream, listed: Listed) -> TokenStream {
    let mut filled: Vec<TokenTree> = Vec::new();
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let span = tree.span();
        let hole = Ident::new(HOLE, span);
        if listed == Listed::Statements && ends_expression(&filled) && begins_statement(&tree) {
            filled.extend(match ends_with_member(&filled) && is_member(&tree) {
                true => quote_spanned!(span=> .#hole.),
                false => quote_spanned!(span=> ; #hole ;),
            });
        }
        filled.push(match tree {
            TokenTree::Group(group) if !is_macro_input(&filled) => fill_group(&group).into(),
            tree => tree,
        });
        if lacks_operand(&filled, trees.peek()) {
            filled.push(hole.into());
        }
    }
    if listed == Listed::Statements && ends_with_open_let(&filled) {
        let hole = Ident::new(HOLE, Span::call_site());
        filled.extend(quote!(; #hole ;));
    }
    filled.into_iter().collect()
}

fn fill_group(group: &Group) -> Group {
    let listed = match group.delimiter() {
        Delimiter::Brace => Listed::Statements,
        _ => Listed::Arguments,
    };
    changed(group, fill(group.stream(), listed), group.stream())
}

/// Deals with a hole between the trees that are kept and the rest.
type CloseHole = fn(&mut Vec<TokenTree>, &mut IntoIter);

fn without_holes(tokens: TokenStream, close: CloseHole) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut trees = tokens.into_iter();
    while let Some(tree) = trees.next() {
        match tree {
            tree if is_word(&tree, HOLE) => close(&mut kept, &mut trees),
            TokenTree::Group(group) => {
                let stream = without_holes(group.stream(), close);
                kept.push(changed(&group, stream, group.stream()).into());
            }
            tree => kept.push(tree),
        }
    }
    kept.into_iter().collect()
}

// The signs on both sides of a hole between two words were filled in with it.
fn leave_nothing(kept: &mut Vec<TokenTree>, rest: &mut IntoIter) {
    let is_between = |sign| {
        let next = rest.clone().next();
        kept.last().is_some_and(|last| is_sign(last, sign))
            && next.is_some_and(|next| is_sign(&next, sign))
    };
    if is_between(';') || is_between('.') {
        kept.pop();
        rest.next();
    }
}

// `a.` is `a`, `a::` is `a`, and `a =` has a value of any type.
fn leave_code(kept: &mut Vec<TokenTree>, rest: &mut IntoIter) {
    match kept.last() {
        Some(last) if is_sign(last, ';') => drop(rest.next()),
        Some(last) if is_sign(last, '.') => drop(kept.pop()),
        Some(last) if is_sign(last, ':') => kept.truncate(kept.len() - 2),
        _ => kept.extend(quote!(loop {})),
    }
}

// A group without holes keeps its own brackets, which have a location each.
fn changed(group: &Group, stream: TokenStream, former: TokenStream) -> Group {
    let hole = Ident::new(HOLE, Span::call_site());
    if mentions(&stream, &hole) || mentions(&former, &hole) {
        with_stream(group, stream)
    } else {
        group.clone()
    }
}

// `name!`, which the next tree belongs to.
fn is_macro_input(trees: &[TokenTree]) -> bool {
    matches!(trees, [.., TokenTree::Ident(_), bang] if is_sign(bang, '!'))
}

// Whether a tree can be the last one of an expression.
fn ends_expression(trees: &[TokenTree]) -> bool {
    match trees {
        // A lifetime, and an attribute.
        [.., before, TokenTree::Ident(_)] if is_sign(before, '\'') => false,
        [.., before, TokenTree::Group(_)] if is_sign(before, '#') => false,
        [.., TokenTree::Ident(word)] => is_name(word) || is_value(word),
        [.., TokenTree::Group(group)] => group.delimiter() != Delimiter::Brace,
        [.., TokenTree::Literal(_)] => true,
        _ => false,
    }
}

fn ends_with_member(trees: &[TokenTree]) -> bool {
    matches!(trees, [.., dot, TokenTree::Ident(word)] if is_sign(dot, '.') && word != "await")
}

// `let a = b`, to which even the last statement adds a `;`.
fn ends_with_open_let(trees: &[TokenTree]) -> bool {
    let last = trees.rsplit(|tree| is_sign(tree, ';')).next();
    let last = last.unwrap_or_default();
    let Some(at) = last.iter().rposition(|tree| is_word(tree, "let")) else {
        return false;
    };
    at == 0 || !is_condition(&last[at - 1])
}

fn is_condition(before_let: &TokenTree) -> bool {
    is_word(before_let, "if") || is_word(before_let, "while") || is_sign(before_let, '&')
}

// Whether a word cannot go on with the expression before it.
fn begins_statement(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Ident(_))
        && !["as", "else", "if", "in", "where"]
            .iter()
            .any(|word| is_word(tree, word))
}

// Whether the last tree needs something after it, which is not there.
fn lacks_operand(trees: &[TokenTree], next: Option<&TokenTree>) -> bool {
    let [before @ .., TokenTree::Punct(last)] = trees else {
        return false;
    };
    let doubled = before
        .last()
        .is_some_and(|tree| is_sign(tree, last.as_char()));
    match last.as_char() {
        '.' => !doubled && !next.is_some_and(|next| is_member(next) || is_sign(next, '.')),
        ':' => doubled && !next.is_some_and(is_segment),
        '=' | '+' | '-' | '/' | '%' | '&' => next.is_none_or(ends_operand),
        _ => false,
    }
}

fn is_member(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Ident(word) => is_name(word) || word == "await",
        tree => matches!(tree, TokenTree::Literal(_)),
    }
}

fn is_segment(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Ident(word) => is_name(word) || word == "self" || word == "super",
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        tree => is_sign(tree, '<') || is_sign(tree, '*'),
    }
}

fn ends_operand(tree: &TokenTree) -> bool {
    is_sign(tree, ';') || is_sign(tree, ',') || is_word(tree, "let")
}

// Not a keyword.
fn is_name(word: &Ident) -> bool {
    syn::parse2::<Ident>(quote!(#word)).is_ok()
}

// The keywords that are values, or end one.
fn is_value(word: &Ident) -> bool {
    ["self", "await", "true", "false"]
        .iter()
        .any(|value| word == value)
}
