//! One variant: an event type, or another family that the enum embraces.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Fields, Ident, LitInt, LitStr, Path, Type};

use super::data::Data;
use crate::attribute::{Mistakes, set_once};
use crate::suggestion::{snake_case, unknown_key};

/// What a variant of the enum stands for.
pub(crate) enum Variant {
    /// One event type.
    Own(EventType),
    /// Every event type of another family.
    Family { ident: Ident, ty: Type },
}

/// One event type.
pub(crate) struct EventType {
    pub(crate) ident: Ident,
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) data: Data,
}

/// How an older shape is read.
pub(crate) struct Upcast {
    pub(crate) from: u32,
    pub(crate) with: Path,
    at: Span,
}

/// What `#[event(…)]` on a variant says.
#[derive(Default)]
struct Keys {
    name: Option<LitStr>,
    version: Option<LitInt>,
    upcasts: Vec<Upcast>,
    family: Option<Span>,
    is_understood: bool,
}

impl Variant {
    pub(crate) fn read(
        variant: syn::Variant,
        family: &Ident,
        family_attributes: &[Attribute],
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let keys = Keys::read(&variant.attrs, mistakes);
        if let Some(marked) = keys.family {
            return Self::read_family(variant, &keys, marked, mistakes);
        }
        let version = keys.version(mistakes);
        let name = keys.name(&variant.ident, family, mistakes);
        let attributes = (family_attributes, variant.attrs.as_slice());
        let data = Data::read(&variant.ident, variant.fields, attributes, mistakes);
        Some(Self::Own(EventType {
            ident: variant.ident,
            name: name?,
            version: version?,
            upcasts: keys.upcasts,
            data: data?,
        }))
    }

    fn read_family(
        variant: syn::Variant,
        keys: &Keys,
        marked: Span,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if keys.name.is_some() || keys.version.is_some() || !keys.upcasts.is_empty() {
            let message = "a `family` variant has no name, version or upcast of its own: they are \
                           those of the family inside";
            mistakes.add_at(marked, message);
        }
        match variant.fields {
            Fields::Unnamed(mut fields) if fields.unnamed.len() == 1 => {
                let field = fields.unnamed.pop()?.into_value();
                Some(Self::Family { ident: variant.ident, ty: field.ty })
            }
            _ => {
                let message = "a `family` variant wraps one event family: write \
                               `Variant(TheFamily)`";
                mistakes.add_at(variant.ident.span(), message);
                None
            }
        }
    }
}

impl Keys {
    fn read(attributes: &[Attribute], mistakes: &mut Mistakes) -> Self {
        let mut keys = Self { is_understood: true, ..Self::default() };
        mistakes.read(attributes, "event", |meta| {
            let read = keys.read_key(&meta);
            keys.is_understood &= read.is_ok();
            read
        });
        keys
    }

    fn read_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string);
        match key.as_deref() {
            Some("name") => set_once(meta, &mut self.name),
            Some("version") => set_once(meta, &mut self.version),
            Some("upcast") => {
                self.upcasts.push(Upcast::read(meta)?);
                Ok(())
            }
            Some("family") => {
                self.family = Some(meta.path.span());
                Ok(())
            }
            Some("tag") => Err(meta.error("a tag stands on a field, not on a variant")),
            _ => {
                let known = ["name", "version", "upcast", "family"];
                Err(unknown_key(meta, "an event variant", &known))
            }
        }
    }

    fn name(&self, variant: &Ident, family: &Ident, mistakes: &mut Mistakes) -> Option<LitStr> {
        let Some(name) = &self.name else {
            // Behind a key that wasn't understood, the name may stand unread.
            if self.is_understood {
                let example = suggested_name(family, variant);
                let message = format!(
                    "event type `{variant}` has no name: write `#[event(name = \"{example}\")]` \
                     above it"
                );
                mistakes.add_at(variant.span(), message);
            }
            return None;
        };
        let text = name.value();
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let message = "an event's name is one word without spaces, such as `order.placed`";
            mistakes.add_at(name.span(), message);
        }
        Some(name.clone())
    }

    /// The version that is written; also checks that every upcast starts from an older one.
    fn version(&self, mistakes: &mut Mistakes) -> Option<u32> {
        let version = match &self.version {
            Some(literal) => mistakes.take(version_of(literal))?,
            None => 1,
        };
        for (index, upcast) in self.upcasts.iter().enumerate() {
            if upcast.from >= version {
                let message = format!(
                    "an upcast starts from an older version than {version}, the one that is \
                     written; raise `version` or lower `from`"
                );
                mistakes.add_at(upcast.at, message);
            }
            if self.upcasts[..index].iter().any(|other| other.from == upcast.from) {
                let message = format!("version {} has an upcast already", upcast.from);
                mistakes.add_at(upcast.at, message);
            }
        }
        Some(version)
    }
}

impl Upcast {
    fn read(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let (mut from, mut with) = (None::<LitInt>, None);
        meta.parse_nested_meta(|inner| {
            if inner.path.is_ident("from") {
                set_once(&inner, &mut from)
            } else if inner.path.is_ident("with") {
                set_once(&inner, &mut with)
            } else {
                Err(unknown_key(&inner, "an upcast", &["from", "with"]))
            }
        })?;
        let (Some(from), Some(with)) = (from, with) else {
            return Err(meta.error("write `upcast(from = 1, with = function)`"));
        };
        Ok(Self { from: version_of(&from)?, with, at: from.span() })
    }
}

fn version_of(literal: &LitInt) -> syn::Result<u32> {
    match literal.base10_parse()? {
        0 => Err(syn::Error::new(literal.span(), "schema versions start at 1")),
        version => Ok(version),
    }
}

/// `order.placed` for `OrderEvent::Placed`.
fn suggested_name(family: &Ident, variant: &Ident) -> String {
    let family = family.unraw().to_string();
    let thing = match family.strip_suffix("Event") {
        Some(thing) if !thing.is_empty() => snake_case(thing),
        _ => snake_case(&family),
    };
    format!("{thing}.{}", snake_case(&variant.unraw().to_string()))
}
