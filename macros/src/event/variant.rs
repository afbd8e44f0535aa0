//! One variant: an event type, another family that the enum embraces, or the place for unknown
//! events.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Fields, Ident, LitInt, LitStr, Type};

use super::data::Data;
use super::former::{Upcast, check_chain, version_of};
use crate::attribute::{Mistakes, set_once};
use crate::suggestion::{snake_case, unknown_key};

/// What a variant of the enum stands for.
pub(crate) enum Variant {
    /// One event type.
    Own(EventType),
    /// Every event type of another family.
    Family { ident: Ident, ty: Type },
    /// Every event that the family doesn't know.
    Raw { ident: Ident, at: Span },
}

/// One event type.
pub(crate) struct EventType {
    pub(crate) ident: Ident,
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    /// The oldest version that a log may hold.
    pub(crate) oldest: u32,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) renamed_from: Vec<LitStr>,
    pub(crate) data: Data,
}

/// What `#[event(…)]` on a variant says.
#[derive(Default)]
struct Keys {
    name: Option<LitStr>,
    version: Option<LitInt>,
    oldest: Option<LitInt>,
    upcasts: Vec<Upcast>,
    renamed_from: Vec<LitStr>,
    family: Option<Span>,
    raw: Option<Span>,
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
        if let Some(marked) = keys.raw {
            return Self::read_raw(variant, &keys, marked, mistakes);
        }
        let versions = keys.versions(&variant.ident, mistakes);
        let name = keys.name(&variant.ident, family, mistakes);
        let attributes = (family_attributes, variant.attrs.as_slice());
        let data = Data::read(&variant.ident, variant.fields, attributes, mistakes);
        let (oldest, version) = versions?;
        Some(Self::Own(EventType {
            ident: variant.ident,
            name: name?,
            version,
            oldest,
            upcasts: keys.upcasts,
            renamed_from: keys.renamed_from,
            data: data?,
        }))
    }

    fn read_family(
        variant: syn::Variant,
        keys: &Keys,
        marked: Span,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if keys.say_more() || keys.raw.is_some() {
            let message = "a `family` variant has no name, version or upcast of its own: they are \
                           those of the family inside";
            mistakes.add_at(marked, message);
        }
        refuse_marks(&variant.fields, mistakes);
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

impl Variant {
    fn read_raw(
        variant: syn::Variant,
        keys: &Keys,
        marked: Span,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if keys.say_more() {
            let message = "a `raw` variant stands for events of any name and version, so it has \
                           none of its own";
            mistakes.add_at(marked, message);
        }
        refuse_marks(&variant.fields, mistakes);
        let is_raw = |field: &syn::Field| match &field.ty {
            Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident == "RawEvent"),
            _ => false,
        };
        let is_place = match &variant.fields {
            Fields::Unnamed(fields) => {
                fields.unnamed.len() == 1 && fields.unnamed.iter().all(is_raw)
            }
            _ => false,
        };
        if !is_place {
            let message = format!(
                "a `raw` variant wraps the event as it is stored: write `{}(RawEvent)`",
                variant.ident
            );
            mistakes.add_at(variant.ident.span(), message);
            return None;
        }
        Some(Self::Raw { ident: variant.ident, at: marked })
    }
}

impl Keys {
    /// Whether anything is said that belongs to an event type.
    fn say_more(&self) -> bool {
        let versions = self.version.is_some() || self.oldest.is_some() || !self.upcasts.is_empty();
        versions || self.name.is_some() || !self.renamed_from.is_empty()
    }

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
            Some("oldest") => set_once(meta, &mut self.oldest),
            Some("renamed_from") => {
                self.renamed_from.push(meta.value()?.parse()?);
                Ok(())
            }
            Some("raw") => {
                self.raw = Some(meta.path.span());
                Ok(())
            }
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
                let known =
                    ["name", "version", "upcast", "oldest", "renamed_from", "family", "raw"];
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

    /// The oldest version and the one that is written, with a chain between them.
    fn versions(&self, variant: &Ident, mistakes: &mut Mistakes) -> Option<(u32, u32)> {
        let mut version = |literal: &Option<LitInt>| match literal {
            Some(literal) => mistakes.take(version_of(literal)),
            None => Some(1),
        };
        let (oldest, version) = (version(&self.oldest)?, version(&self.version)?);
        if let (Some(literal), true) = (&self.oldest, oldest > version) {
            let message = format!("`oldest` is at most {version}, the version that is written");
            mistakes.add_at(literal.span(), message);
        }
        let at = self.version.as_ref().map_or(variant.span(), LitInt::span);
        // Behind a key that wasn't understood, an upcast may stand unread.
        if self.is_understood {
            check_chain(&self.upcasts, oldest, version, at, mistakes);
        }
        Some((oldest, version))
    }
}

/// Nothing can be said of the field of a variant that is no event type: it would go unheard.
fn refuse_marks(fields: &Fields, mistakes: &mut Mistakes) {
    let attributes = fields.iter().flat_map(|field| &field.attrs);
    for attribute in attributes.filter(|attribute| attribute.path().is_ident("event")) {
        let message = "the events inside say themselves what is a tag and what is personal";
        mistakes.add(syn::Error::new_spanned(attribute, message));
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
