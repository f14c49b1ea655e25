//! Where code begins and ends.

use proc_macro2::{Delimiter, Group, Span, TokenStream};

/// Returns the spans of the first and the last token, which together show all of them.
pub(crate) fn ends(tokens: &TokenStream) -> (Span, Span) {
    let mut spans = tokens.clone().into_iter().map(|tree| tree.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}

/// Returns the empty location where a token begins. See [`end_of`].
pub(crate) fn start_of(span: Span) -> Span {
    edge(span, proc_macro::Span::start)
}

/// Returns the empty location where a token ends, for words that the user has not written. rustc joins it with the
/// locations around it. An editor shows nothing of such words: it asks what has become of the token under the
/// cursor, and none is there.
pub(crate) fn end_of(span: Span) -> Span {
    edge(span, proc_macro::Span::end)
}

// Unit tests have no compiler, and so no locations.
fn edge(span: Span, edge: fn(&proc_macro::Span) -> proc_macro::Span) -> Span {
    if proc_macro::is_available() {
        edge(&span.unwrap()).into()
    } else {
        span
    }
}

/// Tokens in parentheses that are located at `span`.
pub(crate) fn parenthesized(tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(Delimiter::Parenthesis, tokens);
    group.set_span(span);
    group
}
