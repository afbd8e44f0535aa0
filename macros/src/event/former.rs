//! What was: older versions, and event types of which only the log still knows.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{LitInt, LitStr, Path, Token};

use crate::attribute::{Mistakes, set_once};
use crate::suggestion::unknown_key;

/// How an older shape becomes the next one.
pub(crate) struct Upcast {
    pub(crate) from: u32,
    pub(crate) with: Path,
    /// If it ends the chain: the types that it makes of the old event.
    pub(crate) into: Vec<LitStr>,
    at: Span,
}

/// An event type of the past that is read as several of today's.
pub(crate) struct Split {
    pub(crate) name: LitStr,
    /// Its last version.
    pub(crate) version: u32,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) with: Path,
    pub(crate) into: Vec<LitStr>,
}

impl Upcast {
    pub(crate) fn read(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let (mut from, mut with, mut into) = (None::<LitInt>, None, Vec::new());
        meta.parse_nested_meta(|inner| {
            if inner.path.is_ident("from") {
                set_once(&inner, &mut from)
            } else if inner.path.is_ident("with") {
                set_once(&inner, &mut with)
            } else if inner.path.is_ident("into") {
                names(&inner, &mut into)
            } else {
                Err(unknown_key(&inner, "an upcast", &["from", "with", "into"]))
            }
        })?;
        let (Some(from), Some(with)) = (from, with) else {
            return Err(meta.error("write `upcast(from = 1, with = function)`"));
        };
        Ok(Self { from: version_of(&from)?, with, into, at: from.span() })
    }
}

impl Split {
    pub(crate) fn read(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let (mut name, mut version, mut with) = (None, None::<LitInt>, None);
        let (mut upcasts, mut into) = (Vec::new(), Vec::new());
        meta.parse_nested_meta(|inner| {
            let key = inner.path.get_ident().map(ToString::to_string);
            match key.as_deref() {
                Some("name") => set_once(&inner, &mut name),
                Some("version") => set_once(&inner, &mut version),
                Some("with") => set_once(&inner, &mut with),
                Some("into") => names(&inner, &mut into),
                Some("upcast") => {
                    upcasts.push(Upcast::read(&inner)?);
                    Ok(())
                }
                _ => {
                    let known = ["name", "version", "with", "into", "upcast"];
                    Err(unknown_key(&inner, "a split", &known))
                }
            }
        })?;
        let (Some(name), Some(with), false) = (name, with, into.is_empty()) else {
            let message =
                "write `split(name = \"old.name\", with = function, into(\"new.name\", …))`";
            return Err(meta.error(message));
        };
        let version = version.as_ref().map_or(Ok(1), version_of)?;
        Ok(Self { name, version, upcasts, with, into })
    }

    pub(crate) fn check(&self, mistakes: &mut Mistakes) {
        check_chain(&self.upcasts, 1, self.version, self.name.span(), mistakes);
    }
}

/// Reads `dropped("old.name", …)`.
pub(crate) fn dropped(meta: &ParseNestedMeta<'_>, into: &mut Vec<LitStr>) -> syn::Result<()> {
    names(meta, into)
}

/// Reads `key("a", "b")`.
fn names(meta: &ParseNestedMeta<'_>, into: &mut Vec<LitStr>) -> syn::Result<()> {
    let content;
    syn::parenthesized!(content in meta.input);
    let listed = content.parse_terminated(<LitStr as syn::parse::Parse>::parse, Token![,])?;
    if listed.is_empty() {
        return Err(meta.error("name at least one event type, in quotes"));
    }
    into.extend(listed);
    Ok(())
}

/// Every version from `oldest` up to the one before `version` has exactly one upcast.
pub(crate) fn check_chain(
    upcasts: &[Upcast],
    oldest: u32,
    version: u32,
    at: Span,
    mistakes: &mut Mistakes,
) {
    for (index, upcast) in upcasts.iter().enumerate() {
        if upcast.from >= version {
            let message = format!(
                "an upcast starts from an older version than {version}, the one that is \
                 written; raise `version` or lower `from`"
            );
            mistakes.add_at(upcast.at, message);
        }
        if upcast.from < oldest {
            let message = format!("`oldest` says that no event has a version below {oldest}");
            mistakes.add_at(upcast.at, message);
        }
        if upcasts[..index].iter().any(|other| other.from == upcast.from) {
            let message = format!("version {} has an upcast already", upcast.from);
            mistakes.add_at(upcast.at, message);
        }
    }
    let missing = (oldest..version).find(|from| upcasts.iter().all(|upcast| upcast.from != *from));
    if let Some(missing) = missing {
        let next = missing + 1;
        let message = format!(
            "version {missing} can't be read: write `upcast(from = {missing}, with = …)`, a \
             function from its shape to that of version {next}; or `oldest = {next}` if no log \
             holds version {missing}"
        );
        mistakes.add_at(at, message);
    }
}

/// The functions that lead from version `from` to today's events, in order.
pub(crate) fn chain(upcasts: &[Upcast], from: u32) -> Vec<&Path> {
    let mut functions = Vec::new();
    let mut at = from;
    while let Some(upcast) = upcasts.iter().find(|upcast| upcast.from == at) {
        functions.push(&upcast.with);
        if !upcast.into.is_empty() {
            break;
        }
        at += 1;
    }
    functions
}

/// True if the chain from version `from` ends before the last version, in events of its own.
pub(crate) fn ends_early(upcasts: &[Upcast], from: u32) -> bool {
    upcasts.iter().any(|upcast| upcast.from >= from && !upcast.into.is_empty())
}

/// Reads a schema version.
pub(crate) fn version_of(literal: &LitInt) -> syn::Result<u32> {
    match literal.base10_parse()? {
        0 => Err(syn::Error::new(literal.span(), "schema versions start at 1")),
        version => Ok(version),
    }
}
