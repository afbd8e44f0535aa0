//! `snapshot(…)` in `#[aggregate(…)]`: when snapshots of an aggregate are taken.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Ident, LitInt, Path};

use crate::attribute::set_once;
use crate::suggestion::unknown_key;

/// What stands between the parentheses.
pub(crate) struct Snapshots {
    /// Where `snapshot` stands: the compiler points there if the state can't be written.
    span: Span,
    version: Option<LitInt>,
    every: Option<LitInt>,
    every_bytes: Option<LitInt>,
    keep: Option<LitInt>,
}

impl Snapshots {
    pub(crate) fn read(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let span = meta.path.span();
        let mut found = Self { span, version: None, every: None, every_bytes: None, keep: None };
        if !meta.input.peek(syn::token::Paren) {
            return Err(syn::Error::new(span, "write `snapshot(every = 100, version = 1)`"));
        }
        meta.parse_nested_meta(|meta| found.read_key(&meta))?;
        found.check()?;
        Ok(found)
    }

    fn read_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string);
        match key.as_deref() {
            Some("version") => set_once(meta, &mut self.version),
            Some("every") => set_once(meta, &mut self.every),
            Some("every_bytes") => set_once(meta, &mut self.every_bytes),
            Some("keep") => set_once(meta, &mut self.keep),
            _ => {
                let known = ["version", "every", "every_bytes", "keep"];
                Err(unknown_key(meta, "a snapshot", &known))
            }
        }
    }

    fn check(&self) -> syn::Result<()> {
        for number in [&self.every, &self.every_bytes, &self.keep].into_iter().flatten() {
            if number.base10_parse::<u64>()? == 0 {
                return Err(syn::Error::new(number.span(), "must be at least 1"));
            }
        }
        if let Some(version) = &self.version {
            version.base10_parse::<u32>()?;
        }
        if self.every.is_none() && self.every_bytes.is_none() {
            let message = "when? write `every = 100` (events), or `every_bytes = 1_000_000`";
            return Err(syn::Error::new(self.span, message));
        }
        if self.version.is_none() {
            let message = "write `version = 1`, and raise it whenever the same events make another \
                           state: older snapshots are then left alone";
            return Err(syn::Error::new(self.span, message));
        }
        Ok(())
    }

    /// The associated constant.
    pub(crate) fn code(&self, aggregate: &Ident, highwater: &Path) -> TokenStream {
        let name = aggregate.to_string();
        let highwater: TokenStream = highwater
            .to_token_stream()
            .into_iter()
            .map(|mut token| {
                token.set_span(self.span);
                token
            })
            .collect();
        let version = &self.version;
        let every = self.every.iter();
        let every_bytes = self.every_bytes.iter();
        let keep = self.keep.iter();
        quote_spanned! {self.span=>
            const SNAPSHOTS: ::core::option::Option<#highwater::SnapshotPolicy<Self>> =
                ::core::option::Option::Some(
                    #highwater::SnapshotPolicy::new(#name, #version)
                        #(.with_every(#every))*
                        #(.with_every_bytes(#every_bytes))*
                        #(.with_kept(#keep))*
                );
        }
    }
}
