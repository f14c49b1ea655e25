//! Guards in macros that make a stream or a generator of their code: nothing could await them.

use crate::diag::Mistake;
use crate::rewrite::Rewriter;
use crate::syntax::known::{mentions, names, strs};
use crate::syntax::text::text;
use crate::syntax::witness;
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::{ParseStream, Parser};
use syn::{Macro, Path, Token};

/// Whether the code in the macro becomes a stream or a generator.
fn is_generator(path: &Path) -> bool {
    matches!(
        strs(&names(path))[..],
        [.., "stream" | "try_stream"] | ["async_gen" | "genawaiter", .., _]
    )
}

impl Rewriter<'_> {
    /// Reports the guards in a macro such as `stream!`, and leaves a witness of each.
    pub(crate) fn refuse_in_generator(&mut self, mac: &mut Macro) {
        let is_own = mac
            .path
            .get_ident()
            .is_some_and(|name| self.declares_macro(name));
        // A function with an attribute of its own has it read there.
        let cancellable = Ident::new("cancellable", Span::call_site());
        if is_own || !is_generator(&mac.path) || mentions(&mac.tokens, &cancellable) {
            return;
        }
        let generator = text(&mac.path);
        mac.tokens = self.without_guards(mac.tokens.clone(), &generator);
    }

    fn without_guards(&mut self, tokens: TokenStream, generator: &str) -> TokenStream {
        let parser = |input: ParseStream| {
            let mut read = TokenStream::new();
            while !input.is_empty() {
                self.without_guard(input, &mut read, generator)?;
            }
            Ok(read)
        };
        parser.parse2(tokens.clone()).unwrap_or(tokens)
    }

    // Reads a macro, as a whole, since its path says whose it is, or one token.
    fn without_guard(
        &mut self,
        input: ParseStream,
        read: &mut TokenStream,
        generator: &str,
    ) -> syn::Result<()> {
        let begins_path =
            input.peek(syn::Ident) || input.peek(Token![::]) || input.peek(Token![crate]);
        if begins_path && input.fork().parse::<Macro>().is_ok() {
            let mut mac: Macro = input.parse()?;
            mac.tokens = match self.guard_name(&mac) {
                Some(name) => {
                    self.refuse_guard(name, &mac.path, generator);
                    witness::input(&mac.path)
                }
                None => self.without_guards(mac.tokens, generator),
            };
            mac.to_tokens(read);
            return Ok(());
        }
        read.append(match input.parse()? {
            TokenTree::Group(group) => {
                let inside = self.without_guards(group.stream(), generator);
                let mut inside = Group::new(group.delimiter(), inside);
                inside.set_span(group.span());
                TokenTree::Group(inside)
            }
            tree => tree,
        });
        Ok(())
    }

    fn refuse_guard(&mut self, name: &str, path: &Path, generator: &str) {
        let mistake = Mistake {
            what: &format!("`{name}!` inside `{generator}!`"),
            why: "the consumer of a stream may drop it at any point, and a dropped stream cannot \
                  await a cleanup",
            help: &format!(
                "move this code into a task of a group, with the `{name}!`, send its values through \
                 a channel, and return the receiver as the stream; see \"Streams\" in \
                 `taskscope::guide::cleanup`"
            ),
        };
        self.diag.report_over(path, &mistake);
    }
}
