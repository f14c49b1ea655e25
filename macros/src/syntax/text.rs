//! Code as the user wrote it, for messages.
//!
//! Tokens do not remember the spaces between them, and what prints them differs from one compiler and
//! editor to the next. But each token has a location in the source, so a space is printed where the source
//! has one or more, and none where it has none: `f( 1 )` stays as it is. Code on several lines
//! becomes one line.
//!
//! `Span::source_text` would not do: stable Rust cannot join spans, so it returns one token's text.
//! Where the locations are unknown, as in unit tests and in some editors, only words are set apart.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;
use std::mem;

/// What the user wrote, in one line.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
    let mut printer = Printer::default();
    printer.stream(tokens.to_token_stream());
    printer.text.trim_start_matches("::").to_owned()
}

/// What the user wrote, if it is short enough to be repeated in a message.
pub(crate) fn short(tokens: &impl ToTokens) -> String {
    let text = text(tokens);
    if text.len() > 40 || text.contains('\n') {
        "…".to_owned()
    } else {
        text
    }
}

#[derive(Default)]
struct Printer {
    text: String,
    /// Where the last token ends.
    end: Option<Position>,
    /// The last token and the next one are one operator, or one lifetime.
    joint: bool,
}

/// Line and column.
type Position = (usize, usize);

impl Printer {
    fn stream(&mut self, tokens: TokenStream) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => self.group(&group),
                tree => {
                    self.token(&tree.to_string(), start_and_end(tree.span()));
                    self.joint =
                        matches!(&tree, TokenTree::Punct(sign) if sign.spacing() == Spacing::Joint);
                }
            }
        }
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::None => return self.stream(group.stream()),
        };
        // Once it has been parsed, both of its ends have the span of all of it.
        let start = start_and_end(group.span_open()).map(|(start, _)| start);
        let end = start_and_end(group.span_close()).map(|(_, end)| end);
        let after = |(line, column)| ((line, column), (line, column + 1));
        self.token(open, start.map(after));
        self.stream(group.stream());
        let before = |(line, column): Position| ((line, column.saturating_sub(1)), (line, column));
        self.token(close, end.map(before));
    }

    fn token(&mut self, token: &str, ends: Option<(Position, Position)>) {
        let start = ends.map(|(start, _)| start);
        let joint = mem::take(&mut self.joint);
        if !self.text.is_empty() && !joint && self.is_apart(token, start) {
            self.text.push(' ');
        }
        self.text += token;
        self.end = ends.map(|(_, end)| end);
    }

    fn is_apart(&self, token: &str, start: Option<Position>) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if self.text.ends_with(is_word) && token.starts_with(is_word) {
            return true;
        }
        match (self.end, start) {
            // The line breaks after an opening bracket, before a closing one, or before a method.
            (Some(end), Some(start)) if end.0 != start.0 => {
                !self.text.ends_with(['(', '[']) && ![")", "]", "."].contains(&token)
            }
            (end, start) => end != start,
        }
    }
}

// Where a token begins and ends.
fn start_and_end(span: Span) -> Option<(Position, Position)> {
    if !proc_macro::is_available() {
        return None;
    }
    let span = span.unwrap();
    let (start, end) = (span.start(), span.end());
    Some(((start.line(), start.column()), (end.line(), end.column())))
}

#[cfg(test)]
mod tests {
    use super::{short, text};
    use proc_macro2::TokenStream;

    fn tokens(written: &str) -> TokenStream {
        written.parse().unwrap()
    }

    #[test]
    fn words_are_set_apart_wherever_they_stand() {
        for (written, printed) in [
            (
                "self.sender . send(&mut x).await?",
                "self.sender.send(&mut x).await?",
            ),
            (
                "async move { f::<u8>(1).await }",
                "async move{f::<u8>(1).await}",
            ),
            ("'a: loop { break 'a 1 }", "'a:loop{break'a 1}"),
            (":: tokio :: spawn", "tokio::spawn"),
        ] {
            assert_eq!(text(&tokens(written)), printed);
        }
    }

    #[test]
    fn what_is_long_is_left_out() {
        assert_eq!(short(&tokens(&"a ".repeat(30))), "…");
        assert_eq!(short(&tokens("\"a\nb\"")), "…");
        assert_eq!(short(&tokens("a . b ( c )")), "a.b(c)");
    }
}
