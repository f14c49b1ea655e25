//! `#[taskscope::main]` and `#[taskscope::test]`: a plain function that runs its body
//! on a runtime of its own.

use crate::check::{Checker, Site};
use crate::diag::{Diag, Mistake};
use crate::rewrite::{self, CodeScope, Rewriter, output};
use crate::syntax::editor::OptionNames;
use crate::syntax::item::{ItemBody, ItemHead, ItemTarget, is_marker};
use crate::syntax::options::{OptionReader, OptionValue, Options, OptionsOf, nearest};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::unread::keep_unread_body;
use crate::syntax::written::restore_groups;
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, Expr, ExprLit, Lit, Signature, Token};

/// The function as rustc and the test harness want it, beside the errors found in it.
pub(crate) fn entry(kind: EntryKind, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let option_names = OptionNames::read(kind.options(), &options);
    let mut options = EntryOptions::parse(kind, options, &mut diag);
    let krate = Crate::new(options.common.krate.take());
    let import = option_names.import(&krate).into_iter();
    let mut entry = EntryFn { kind, krate, diag };
    let mut tokens = restore_groups(item.clone(), entry.expand_item(options, item));
    tokens.extend(import.map(|import| quote!(const _: () = { #import };)));
    tokens.extend(entry.diag.into_tokens());
    tokens
}

/// Which of the two attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Main,
    Test,
}

/// The kinds of tokio's runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RuntimeFlavor {
    CurrentThread,
    MultiThread,
}

struct EntryFn {
    kind: EntryKind,
    krate: Crate,
    diag: Diag,
}

impl EntryKind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
        }
    }

    fn options(self) -> OptionsOf {
        match self {
            Self::Main => OptionsOf::Main,
            Self::Test => OptionsOf::Test,
        }
    }

    // The one that the runtime builds without being told.
    fn default_flavor(self) -> RuntimeFlavor {
        match self {
            Self::Main => RuntimeFlavor::MultiThread,
            Self::Test => RuntimeFlavor::CurrentThread,
        }
    }
}

impl RuntimeFlavor {
    const ALL: [Self; 2] = [Self::CurrentThread, Self::MultiThread];

    fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current_thread",
            Self::MultiThread => "multi_thread",
        }
    }
}

/// What stands in the brackets.
struct EntryOptions {
    kind: EntryKind,
    /// Those that other macros have, too.
    common: Options,
    flavor: Option<(Ident, RuntimeFlavor)>,
    /// What the methods of these names are called with.
    settings: Vec<(Ident, Expr)>,
}

impl EntryOptions {
    fn parse(kind: EntryKind, tokens: TokenStream, diag: &mut Diag) -> Self {
        let mut options = Self {
            kind,
            common: Options::default(),
            flavor: None,
            settings: Vec::new(),
        };
        OptionReader::new(kind.options(), diag).read_all(tokens, |name, value| {
            if let Some((name, OptionValue::Expr(value))) = options.common.set(name, value) {
                options.settings.push((name, value));
            }
        });
        options.take_flavor(diag);
        options.drop_contradictions(diag);
        options
    }

    // Takes `flavor` out of the settings.
    fn take_flavor(&mut self, diag: &mut Diag) {
        let Some(at) = self.settings.iter().position(|(name, _)| name == "flavor") else {
            return;
        };
        let (name, value) = self.settings.remove(at);
        let text = string_literal(&value);
        let is_named = |flavor: &RuntimeFlavor| text.as_deref() == Some(flavor.name());
        match RuntimeFlavor::ALL.into_iter().find(is_named) {
            Some(flavor) => self.flavor = Some((name, flavor)),
            None => diag.push(no_flavor(&value, text.as_deref())),
        }
    }

    // Options that contradict each other; the one that does not fit is left out.
    fn drop_contradictions(&mut self, diag: &mut Diag) {
        let flavor = self.flavor.as_ref().map(|(_, flavor)| *flavor);
        let flavor = flavor.unwrap_or_else(|| self.kind.default_flavor());
        self.settings.retain(|(name, _)| {
            let mistake = match flavor {
                RuntimeFlavor::CurrentThread if name == "worker_threads" => &ONE_THREAD,
                RuntimeFlavor::MultiThread if name == "start_paused" => &NOT_PAUSED,
                _ => return true,
            };
            diag.report(name.span(), mistake);
            false
        });
    }

    // `.name(value)` for everything that is not as it is anyway.
    fn into_calls(self) -> TokenStream {
        let mut tokens = TokenStream::new();
        let default = self.kind.default_flavor();
        if let Some((name, flavor)) = self.flavor.filter(|(_, flavor)| *flavor != default) {
            let span = mixed(name.span());
            let method = Ident::new(&format!("flavor_{}", flavor.name()), span);
            tokens.extend(quote_spanned!(span=> .#method()));
        }
        for (name, value) in self.settings {
            tokens.extend(quote_spanned!(mixed(name.span())=> .#name(#value)));
        }
        tokens
    }
}

const ONE_THREAD: Mistake = Mistake {
    what: "`worker_threads` for a runtime without worker threads",
    why: "the flavor `current_thread` runs everything on the thread it is started on",
    help: "write `flavor = \"multi_thread\"` beside it, or remove it",
};

const NOT_PAUSED: Mistake = Mistake {
    what: "`start_paused` with several threads",
    why: "tokio's clock can be paused on the flavor `current_thread` alone",
    help: "write `flavor = \"current_thread\"`, or remove `start_paused`",
};

// The text of a string literal.
fn string_literal(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

fn no_flavor(value: &Expr, text: Option<&str>) -> syn::Error {
    let names = RuntimeFlavor::ALL.map(RuntimeFlavor::name);
    let near = text.and_then(|text| nearest(text, &names));
    let help = near.map_or_else(
        || "write one of the two".to_owned(),
        |near| format!("write `\"{near}\"`"),
    );
    let text = Mistake {
        what: "unknown flavor",
        why: "a runtime is `\"current_thread\"` or `\"multi_thread\"`",
        help: &help,
    }
    .text();
    syn::Error::new_spanned(value, text)
}

impl EntryFn {
    fn expand_item(&mut self, options: EntryOptions, tokens: TokenStream) -> TokenStream {
        match ItemHead::split(tokens.clone()) {
            Some((head, body)) if is_braces(&body) => self.expand_function(options, head, body),
            _ => {
                self.check_other(tokens.clone());
                tokens
            }
        }
    }

    // From `async fn f() -> T { … }` into
    // `fn f() -> T { async fn body() -> T { … } Main::new().run(body()) }`: the async
    // function is the user's, so that rustc checks it against its type as it always does.
    fn expand_function(
        &mut self,
        options: EntryOptions,
        head: ItemHead,
        body: TokenTree,
    ) -> TokenStream {
        let ItemHead {
            attrs,
            vis,
            mut sig,
            ..
        } = head;
        let callable = self.check_signature(&sig);
        let Some(asyncness) = sig.asyncness.take() else {
            return quote_spanned!(mixed(sig.ident.span())=> #(#attrs)* #vis #sig #body);
        };
        let (ours, attrs): (Vec<_>, Vec<_>) = attrs
            .into_iter()
            .partition(|attr| is_marker(attr, "cancellable"));
        let attrs = self.check_attributes(attrs);
        let body = self.rewrite_body(&sig, body, !ours.is_empty(), &options.common);
        // Not the name's: an editor would show there all that is made here.
        let span = mixed(sig.paren_token.span.join());
        let mut inner = sig.clone();
        inner.ident = Ident::new("__taskscope_body", span);
        inner.asyncness = Some(Token![async](mixed(asyncness.span)));
        (sig.generics, sig.inputs) = <_>::default();
        let (test, run) = (self.harness(span), self.run(options, &sig.ident, span));
        let name = &inner.ident;
        let run = if callable {
            quote_spanned!(span=> #run.run(#name()))
        } else {
            quote_spanned!(span=> ::core::unreachable!())
        };
        quote_spanned! {span=>
            #test
            #(#attrs)*
            #vis #sig {
                #(#ours)*
                #inner #body
                #run
            }
        }
    }

    // The body with its awaits made checkpoints, unless `#[cancellable]` does it, or has
    // done it, or it is still being typed.
    fn rewrite_body(
        &mut self,
        sig: &Signature,
        body: TokenTree,
        taken: bool,
        options: &Options,
    ) -> TokenStream {
        let TokenTree::Group(braces) = &body else {
            return body.into_token_stream();
        };
        let read = ItemBody::parse(braces);
        if let Some(read) = read.as_ref().filter(|_| self.kind == EntryKind::Main) {
            Checker::new(&self.krate, &mut self.diag, options, Site::Main)
                .report_signals(&read.block);
        }
        if taken || is_rewritten(braces.stream()) {
            return body.into_token_stream();
        }
        let Some(mut read) = read else {
            return keep_unread_body(braces).into_token_stream();
        };
        let options = Options::default();
        let mut checker = Checker::new(&self.krate, &mut self.diag, &options, Site::Attribute);
        checker.read_body(&read.block);
        let (own, warnings) = (checker.own, checker.warnings);
        let scope = CodeScope::new(rewrite::CodeKind::Async, output(&sig.output));
        Rewriter::new(&self.krate, &mut self.diag, &options, own, scope)
            .visit_top_block(&mut read.block);
        read.block.stmts.splice(..0, warnings);
        read.into_token_stream()
    }

    fn harness(&self, span: Span) -> Option<TokenStream> {
        (self.kind == EntryKind::Test).then(|| quote_spanned!(span=> #[::core::prelude::v1::test]))
    }

    // `Main::new()` or `Test::new("name")`, with what the options say.
    fn run(&self, options: EntryOptions, name: &Ident, span: Span) -> TokenStream {
        let private = self.krate.private(span);
        let calls = options.into_calls();
        match self.kind {
            EntryKind::Main => quote_spanned!(span=> #private::Main::new() #calls),
            EntryKind::Test => {
                let name = name.to_string();
                let name = name.trim_start_matches("r#");
                quote_spanned!(span=> #private::Test::new(#name) #calls)
            }
        }
    }

    // Whether the body can be called as it is.
    fn check_signature(&mut self, sig: &Signature) -> bool {
        let attribute = self.kind.name();
        let name = &sig.ident;
        if sig.asyncness.is_none() {
            let mistake = Mistake {
                what: &format!("`#[taskscope::{attribute}]` on a function that is not async"),
                why: "it runs an async function on a runtime",
                help: &format!(
                    "write `async fn {name}`; if an attribute above has made it plain, keep one of the two"
                ),
            };
            self.diag.report(sig.fn_token.span, &mistake);
        }
        if !sig.inputs.is_empty() {
            let mistake = Mistake {
                what: &format!("`#[taskscope::{attribute}]` on a function with arguments"),
                why: "nobody calls it who could give them",
                help: match self.kind {
                    EntryKind::Main => "remove them; the command line is in `std::env::args()`",
                    EntryKind::Test => "remove them, and make the values in the body",
                },
            };
            self.diag.report_over(&sig.inputs, &mistake);
        }
        if !sig.generics.params.is_empty() {
            let mistake = Mistake {
                what: &format!("`#[taskscope::{attribute}]` on a generic function"),
                why: "nobody calls it who could say which types are meant",
                help: "remove the parameters, and call a generic function from the body",
            };
            self.diag.report_over(&sig.generics, &mistake);
        }
        sig.inputs.is_empty() && sig.generics.params.is_empty()
    }

    // Reports attributes that make a runtime of their own, and leaves them out.
    fn check_attributes(&mut self, mut attrs: Vec<Attribute>) -> Vec<Attribute> {
        let own = self.kind.name();
        attrs.retain(|attr| {
            if !is_marker(attr, own) {
                return true;
            }
            let other = crate::syntax::text::text(attr.path());
            let mistake = Mistake {
                what: &format!("`#[{other}]` beside `#[taskscope::{own}]`"),
                why: "each of the two makes the function an entry point, which it is once",
                help: &format!("remove `#[{other}]`"),
            };
            self.diag.report_over(attr, &mistake);
            false
        });
        attrs
    }

    fn check_other(&mut self, tokens: TokenStream) {
        let (span, what) = match ItemTarget::parse(tokens) {
            ItemTarget::Other(keyword) => (keyword.span(), format!("`{keyword}`")),
            ItemTarget::Container(_) => (Span::call_site(), "a block of items".to_owned()),
            ItemTarget::Function(f) => (f.sig.ident.span(), "a function without a body".to_owned()),
            ItemTarget::Broken => return,
        };
        let attribute = self.kind.name();
        let mistake = Mistake {
            what: &format!("`#[taskscope::{attribute}]` on {what}"),
            why: "it runs an async function on a runtime",
            help: "put it on an `async fn` without arguments",
        };
        self.diag.report(span, &mistake);
    }
}

fn is_braces(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

// Whether `#[cancellable]` stood above and has been at work: it names the door for
// expansions, which nobody else does.
fn is_rewritten(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => word == "__private",
        TokenTree::Group(group) => is_rewritten(group.stream()),
        _ => false,
    })
}
