//! What the derives share in reading attributes: errors that add up, values that come once.

use proc_macro2::Span;
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::parse::Parse;
use syn::{Attribute, LitStr, Path, parse_quote};

/// Mistakes found so far; the user shall see all of them at once.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    /// Notes a mistake.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    /// Notes a mistake at `span`.
    pub(crate) fn add_at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(syn::Error::new(span, message));
    }

    /// The value, or `None` and a noted mistake.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Reads all attributes called `name`.
    pub(crate) fn read(
        &mut self,
        attributes: &[Attribute],
        name: &str,
        mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
    ) {
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
            self.take(attribute.parse_nested_meta(&mut read));
        }
    }

    /// The end: `value`, if there was no mistake.
    pub(crate) fn finish<T>(self, value: Option<T>) -> syn::Result<T> {
        match (self.0, value) {
            (Some(mistakes), _) => Err(mistakes),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(syn::Error::new(Span::call_site(), "the derive lacks a value")),
        }
    }
}

/// Reads `key = value` into `slot`; a second one is a mistake.
pub(crate) fn set_once<T: Parse>(
    meta: &ParseNestedMeta<'_>,
    slot: &mut Option<T>,
) -> syn::Result<()> {
    let value = meta.value()?.parse()?;
    if slot.replace(value).is_some() {
        let key = meta.path.to_token_stream();
        return Err(meta.error(format!("`{key}` is said twice; once is enough")));
    }
    Ok(())
}

/// Reads `crate = "path"`.
pub(crate) fn set_crate(meta: &ParseNestedMeta<'_>, slot: &mut Option<Path>) -> syn::Result<()> {
    let path: LitStr = meta.value()?.parse()?;
    *slot = Some(path.parse()?);
    Ok(())
}

/// Where Highwater is found unless said otherwise.
pub(crate) fn default_crate() -> Path {
    parse_quote!(::highwater)
}
