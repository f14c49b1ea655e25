//! Tokens as a person writes them, for messages.
//!
//! They do not remember the spaces between them, and what prints them elsewhere
//! differs from one compiler and editor to the next.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

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
    last: Last,
    /// Signs of an operator of which more are to come.
    operator: String,
    /// How many `<` of generic arguments are open.
    angles: usize,
    /// Between the bars of a closure.
    bars: bool,
}

/// What was printed last: it says what stands before the next token.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// The beginning of it all, or of a group.
    #[default]
    Start,
    /// What an operator may follow, and what is called or indexed: a name, or the end
    /// of an expression.
    Value,
    /// A literal.
    Literal,
    /// A name by its case: `<` behind it opens generic arguments.
    Type,
    /// A word that something begins behind.
    Keyword,
    /// What nothing is set apart from: `.`, `::`, `&`, an open `<` or `|`.
    Glue,
    /// `::`, behind which a `<` opens generic arguments.
    Path,
    /// The `!` of a macro.
    Bang,
    /// `#`, of an attribute.
    Hash,
    /// What the next token is set apart from: `,`, `=`, `+`.
    Apart,
}

impl Last {
    /// Whether an operator is a prefix here.
    fn begins(self) -> bool {
        !matches!(self, Self::Value | Self::Literal | Self::Type)
    }

    /// Whether something that begins here is set apart.
    fn sets_apart(self) -> bool {
        !matches!(self, Self::Start | Self::Glue | Self::Path | Self::Hash)
    }
}

impl Printer {
    fn stream(&mut self, tokens: TokenStream) {
        let mut trees = tokens.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Ident(word) => self.word(&word),
                TokenTree::Literal(literal) => self.begin(&literal.to_string(), Last::Literal),
                TokenTree::Group(group) => self.group(&group),
                TokenTree::Punct(punct) => {
                    self.punct(&punct, matches!(trees.peek(), Some(TokenTree::Group(_))));
                }
            }
        }
    }

    fn begin(&mut self, text: &str, last: Last) {
        let apart = self.last.sets_apart();
        self.put(apart, text, last);
    }

    fn put(&mut self, apart: bool, text: &str, last: Last) {
        if apart {
            self.text.push(' ');
        }
        self.text += text;
        self.last = last;
    }

    fn word(&mut self, word: &Ident) {
        let word = word.to_string();
        let last = if KEYWORDS.contains(&&*word) {
            Last::Keyword
        } else if is_type(&word) {
            Last::Type
        } else {
            Last::Value
        };
        self.begin(&word, last);
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::None => return self.stream(group.stream()),
        };
        let braces = open == "{";
        let called = !self.last.begins() || self.last == Last::Bang;
        let attribute = self.last == Last::Hash;
        self.put(
            self.last.sets_apart() && (braces || !called),
            open,
            Last::Start,
        );
        let spaced = braces && !group.stream().is_empty();
        if spaced {
            self.last = Last::Apart;
        }
        let around = (
            std::mem::take(&mut self.angles),
            std::mem::take(&mut self.bars),
        );
        self.stream(group.stream());
        (self.angles, self.bars) = around;
        let last = if attribute { Last::Apart } else { Last::Value };
        self.put(spaced, close, last);
    }

    // One sign; an operator of several is printed with its last.
    fn punct(&mut self, punct: &Punct, before_group: bool) {
        let more = format!("{}{}", self.operator, punct.as_char());
        if more.len() > 1 && !OPERATORS.contains(&&*more) {
            let operator = std::mem::take(&mut self.operator);
            self.operator(&operator, false);
        }
        self.operator.push(punct.as_char());
        let lifetime = punct.as_char() == '\'';
        let closes = punct.as_char() == '>' && self.angles > 0 && self.operator == ">";
        if punct.spacing() == Spacing::Joint && !lifetime && !closes {
            return;
        }
        let operator = std::mem::take(&mut self.operator);
        self.operator(&operator, before_group);
    }

    fn operator(&mut self, operator: &str, before_group: bool) {
        let prefix = self.last.begins();
        match operator {
            "'" => self.begin(operator, Last::Glue),
            "." | ".." | "..=" | "..." if !prefix => self.put(false, operator, Last::Glue),
            "." | ".." | "..=" | "..." => self.begin(operator, Last::Glue),
            "::" if !prefix => self.put(false, operator, Last::Path),
            "::" => self.begin(operator, Last::Path),
            "?" => self.put(false, operator, Last::Value),
            "," | ";" | ":" => self.put(false, operator, Last::Apart),
            "#" => self.begin(operator, Last::Hash),
            "!" if !prefix && before_group => self.put(false, operator, Last::Bang),
            "<" if matches!(self.last, Last::Path | Last::Type) || prefix => {
                self.angles += 1;
                let apart = self.last.sets_apart() && self.last != Last::Type;
                self.put(apart, operator, Last::Glue);
            }
            ">" if self.angles > 0 => {
                self.angles -= 1;
                self.put(false, operator, Last::Type);
            }
            "||" if prefix => self.begin(operator, Last::Apart),
            "|" if self.bars => {
                self.bars = false;
                self.put(false, operator, Last::Apart);
            }
            "|" if prefix => {
                self.bars = true;
                self.begin(operator, Last::Glue);
            }
            "&" | "&&" | "*" | "-" | "!" if prefix => self.begin(operator, Last::Glue),
            _ => self.begin(operator, Last::Apart),
        }
    }
}

/// Those of several signs.
const OPERATORS: &[&str] = &[
    "::", "..", "...", "..=", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "+=",
    "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<<=", ">>=",
];

/// Words that an expression, a type or a pattern begins behind.
const KEYWORDS: &[&str] = &[
    "as", "async", "box", "break", "const", "continue", "dyn", "else", "for", "if", "impl", "in",
    "let", "loop", "match", "move", "mut", "ref", "return", "static", "unsafe", "use", "where",
    "while", "yield",
];

// Not a constant: `LIMIT < n` compares.
fn is_type(word: &str) -> bool {
    let upper = word.starts_with(char::is_uppercase);
    upper && (word.len() == 1 || word.contains(char::is_lowercase))
}

#[cfg(test)]
mod tests {
    use super::{short, text};
    use proc_macro2::TokenStream;

    #[track_caller]
    fn assert_as_written(written: &str) {
        let tokens: TokenStream = written.parse().unwrap();
        assert_eq!(text(&tokens), written);
        // As it arrives where an expression has been read.
        if let Ok(expr) = syn::parse2::<syn::Expr>(tokens) {
            assert_eq!(text(&expr), written);
        }
    }

    #[test]
    fn calls_and_paths() {
        for written in [
            "f(), g(h().await)",
            "work(1, \"two\", '3', 4.0, b\"five\")",
            "self.sender.send(x).await?.len()",
            "tokio::time::sleep(Duration::from_secs(1))",
            "<T as Default>::default()",
            "parse::<u32>(text)",
            "collect::<Vec<Vec<_>>>().len()",
            "Vec::<u8>::new()",
            "HashMap::<K, Vec<V>>::with_capacity(n * 2)",
            "all[0][i + 1]",
            "(f)(x)",
            "f()()",
            "r#type.r#fn()",
            "pair.0.1",
        ] {
            assert_as_written(written);
        }
    }

    #[test]
    fn operators() {
        for written in [
            "&mut future, &*other, &&x, *p, -1, !done",
            "a + b - -c * *d / e % f",
            "a && !b || c & d | e ^ f",
            "a == b, a != b, a <= b, a < b, a > b, a >= b",
            "a << 2 >> 1",
            "LIMIT < n",
            "x as usize < n",
            "a..b, a..=b, ..b, ..",
            "x = y, x += 1",
            "x as Vec<u8>",
            "return -1",
            "x.await - 1",
            "&'a str",
            "Box<dyn Future<Output = ()> + Send + 'static>",
            "fn(u8) -> Result<(), E>",
        ] {
            assert_as_written(written);
        }
    }

    #[test]
    fn blocks_closures_and_macros() {
        for written in [
            "async {}",
            "async move { client.fetch(1).await }",
            "|| {}",
            "move || first.join()",
            "async |x| x + 1",
            "|x: &mut Vec<u8>, _| x.len() | 1",
            "|x: u8| -> Vec<u8> { vec![x] }",
            "if x { 1 } else { -1 }",
            "match x { Some(n) => n, None => 0 }",
            "'a: loop { break 'a 1 }",
            "{ let x: u8 = 1; x }",
            "format!(\"{}\", x)",
            "vec![1, 2]",
            "select! { _ = a => b }",
            "Point { x: 1, ..other }",
            "#[cfg(test)] f()",
            "[1, 2]",
            "[0; 4]",
            "()",
            "(a,)",
        ] {
            assert_as_written(written);
        }
    }

    #[test]
    fn the_crate_is_named_without_colons_in_front() {
        let path: syn::Path = syn::parse_str(":: tokio :: spawn").unwrap();
        assert_eq!(text(&path), "tokio::spawn");
    }

    #[test]
    fn what_is_long_is_left_out() {
        let tokens: TokenStream = "a ".repeat(30).parse().unwrap();
        assert_eq!(short(&tokens), "…");
        let tokens: TokenStream = "\"a\nb\"".parse().unwrap();
        assert_eq!(short(&tokens), "…");
        let tokens: TokenStream = "a . b ( c )".parse().unwrap();
        assert_eq!(short(&tokens), "a.b(c)");
    }
}
