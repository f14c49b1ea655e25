//! What the attribute stands on, read precisely in its head and tolerantly in its
//! body: a half-typed body is kept as it is.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Brace;
use syn::{Attribute, Block, Ident, Item, Signature, Visibility};

/// The item below the attribute.
pub(crate) enum ItemTarget {
    Function(Box<Function>),
    /// An `impl`, a `trait` or an inline `mod`.
    Container(Box<Item>),
    /// Something that holds no async code: its keyword.
    Other(Ident),
    /// Not Rust yet; rustc says why.
    Broken,
}

/// A function, whose head is changed only by `send`.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) sig: Signature,
    head: TokenStream,
    vis: Visibility,
    /// `default`, which only nightly has.
    defaultness: Option<Ident>,
    /// Nothing for a method that ends in `;`.
    pub(crate) body: Option<ItemBody>,
}

/// What stands before a function's body.
pub(crate) struct ItemHead {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// `default`, which only nightly has.
    defaultness: Option<Ident>,
    /// All of it, as it was written.
    tokens: TokenStream,
}

/// A function's body.
pub(crate) struct ItemBody {
    pub(crate) inner: Vec<Attribute>,
    pub(crate) block: Block,
}

const CONTAINERS: &[&str] = &["impl", "trait", "mod"];
const KEYWORDS: &[&str] = &[
    "fn",
    "impl",
    "trait",
    "mod",
    "struct",
    "enum",
    "union",
    "type",
    "static",
    "use",
    "macro_rules",
    "crate",
    "let",
];
const BEFORE_FN: &[&str] = &["fn", "async", "unsafe", "extern"];

impl ItemTarget {
    pub(crate) fn parse(tokens: TokenStream) -> Self {
        if let Some(item) = sole(&tokens, Delimiter::None) {
            return Self::parse(item.stream());
        }
        let Some(keyword) = keyword(&tokens) else {
            return Self::Broken;
        };
        if keyword == "fn" {
            Function::parse(tokens).map_or(Self::Broken, |f| Self::Function(Box::new(f)))
        } else if CONTAINERS.iter().any(|container| keyword == container) {
            syn::parse2(tokens).map_or(Self::Broken, |item| Self::Container(Box::new(item)))
        } else {
            Self::Other(keyword)
        }
    }
}

// From `$body` in the hands of `macro_rules` into the braces it stands for.
fn opened(tree: TokenTree) -> TokenTree {
    match &tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            sole(&group.stream(), Delimiter::Brace).map_or(tree, TokenTree::Group)
        }
        _ => tree,
    }
}

// The group that makes up all of `tokens`.
fn sole(tokens: &TokenStream, delimiter: Delimiter) -> Option<Group> {
    let mut trees = tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

// The word that says what kind of item this is. Read without a parser, which would
// take in all that lies in the braces.
fn keyword(tokens: &TokenStream) -> Option<Ident> {
    let mut after_const: Option<Ident> = None;
    for tree in tokens.clone() {
        let TokenTree::Ident(ident) = tree else {
            continue;
        };
        let word = &*ident.to_string();
        if let Some(keyword) = after_const.take()
            && !BEFORE_FN.contains(&word)
        {
            return Some(keyword);
        } else if KEYWORDS.contains(&word) {
            return Some(ident);
        } else if word == "const" {
            after_const = Some(ident);
        }
    }
    None
}

impl ItemHead {
    /// The head and what follows it, braces or a semicolon; nothing if the user is
    /// still typing the head.
    pub(crate) fn split(tokens: TokenStream) -> Option<(Self, TokenTree)> {
        if let Some(item) = sole(&tokens, Delimiter::None) {
            return Self::split(item.stream());
        }
        let mut trees: Vec<TokenTree> = tokens.into_iter().collect();
        let body = opened(trees.pop()?);
        let tokens: TokenStream = trees.into_iter().collect();
        let mut head = function_head.parse2(tokens.clone()).ok()?;
        head.tokens = tokens;
        Some((head, body))
    }
}

impl Function {
    /// Nothing if the user is still typing.
    fn parse(tokens: TokenStream) -> Option<Self> {
        let (head, body) = ItemHead::split(tokens)?;
        let body = match body {
            TokenTree::Group(braces) if braces.delimiter() == Delimiter::Brace => {
                Some(ItemBody::parse(&braces)?)
            }
            TokenTree::Punct(semi) if semi.as_char() == ';' => None,
            _ => return None,
        };
        let ItemHead {
            attrs,
            vis,
            sig,
            defaultness,
            tokens,
        } = head;
        Some(Self {
            head: tokens,
            attrs,
            vis,
            defaultness,
            sig,
            body,
        })
    }

    /// Takes a change of the signature into the head.
    pub(crate) fn change_head(&mut self) {
        let Self {
            attrs,
            vis,
            defaultness,
            sig,
            ..
        } = &*self;
        self.head = quote!(#(#attrs)* #vis #defaultness #sig);
    }

    /// The function with its body changed.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let mut tokens = self.head;
        match self.body {
            Some(body) => body.to_tokens(&mut tokens),
            None => tokens.append(proc_macro2::Punct::new(';', proc_macro2::Spacing::Alone)),
        }
        tokens
    }
}

fn function_head(input: ParseStream) -> syn::Result<ItemHead> {
    let attrs = input.call(Attribute::parse_outer)?;
    let vis = input.parse()?;
    let default = input.peek(Ident::peek_any) && input.fork().call(Ident::parse_any)? == "default";
    let defaultness = default.then(|| input.call(Ident::parse_any)).transpose()?;
    Ok(ItemHead {
        attrs,
        vis,
        sig: input.parse()?,
        defaultness,
        tokens: TokenStream::new(),
    })
}

impl ItemBody {
    /// Nothing if the user is still typing.
    pub(crate) fn parse(braces: &Group) -> Option<Self> {
        let parser = |input: ParseStream| {
            Ok((
                input.call(Attribute::parse_inner)?,
                input.call(Block::parse_within)?,
            ))
        };
        let (inner, stmts) = parser.parse2(braces.stream()).ok()?;
        let brace_token = Brace {
            span: braces.delim_span(),
        };
        Some(Self {
            inner,
            block: Block { brace_token, stmts },
        })
    }
}

impl ToTokens for ItemBody {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.block.brace_token.surround(tokens, |tokens| {
            tokens.append_all(&self.inner);
            tokens.append_all(&self.block.stmts);
        });
    }
}

/// Whether `attrs` contains the marker `name`, by its last segment.
pub(crate) fn has_marker(attrs: &[Attribute], name: &str) -> bool {
    attrs.iter().any(|attr| is_marker(attr, name))
}

/// Whether `attr` is the marker `name`, by its last segment.
pub(crate) fn is_marker(attr: &Attribute, name: &str) -> bool {
    attr.path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == name)
}
