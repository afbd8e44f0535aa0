//! The enum as a whole: where Highwater is, which event types there are and were, what becomes of
//! unknown ones.

use std::collections::HashSet;

use syn::{Attribute, Data, DeriveInput, Generics, Ident, LitStr, Path};

use super::former::{Split, dropped};
use super::variant::{EventType, Variant};
use crate::attribute::{Mistakes, default_crate, set_crate, set_once};
use crate::suggestion::unknown_key;

/// An enum that derives `Event`.
pub(crate) struct Family {
    pub(crate) ident: Ident,
    pub(crate) keys: FamilyKeys,
    pub(crate) variants: Vec<Variant>,
}

/// What `#[event(…)]` on the enum says.
pub(crate) struct FamilyKeys {
    pub(crate) highwater: Path,
    /// Names whose events nobody wants to read any more.
    pub(crate) dropped: Vec<LitStr>,
    /// Names whose events are read as several of today's.
    pub(crate) splits: Vec<Split>,
    /// Whether unknown events are passed over.
    pub(crate) skips_unknown: bool,
    /// Whether to describe the events' data by a JSON Schema.
    pub(crate) has_schema: bool,
    /// `unknown = "…"`, if it is said.
    unknown: Option<LitStr>,
}

impl Family {
    /// Reads the enum.
    ///
    /// # Errors
    /// Every mistake in it, each at the token that must change.
    pub(crate) fn read(input: DeriveInput) -> syn::Result<Self> {
        let Data::Enum(data) = input.data else {
            let message = "an event family is an enum with one variant per event type; to store \
                           this struct, wrap it: `#[event(name = \"…\")] Variant(Struct)`";
            return Err(syn::Error::new(input.ident.span(), message));
        };
        let mut mistakes = Mistakes::default();
        check_generics(&input.generics, &mut mistakes);
        let keys = FamilyKeys::read(&input.attrs, &mut mistakes);
        let variants = data
            .variants
            .into_iter()
            .filter_map(|variant| Variant::read(variant, &input.ident, &input.attrs, &mut mistakes))
            .collect();
        let family = Self { ident: input.ident, keys, variants };
        family.check_names_differ(&mut mistakes);
        family.check_raw(&mut mistakes);
        family.check_into(&mut mistakes);
        family.check_described(&mut mistakes);
        mistakes.finish(Some(family))
    }

    /// The variants that are event types of their own.
    pub(crate) fn own(&self) -> impl Iterator<Item = &EventType> {
        self.variants.iter().filter_map(|variant| match variant {
            Variant::Own(event_type) => Some(event_type),
            Variant::Family { .. } | Variant::Raw { .. } => None,
        })
    }

    /// The types of the families that the enum embraces.
    pub(crate) fn families(&self) -> impl Iterator<Item = &syn::Type> {
        self.variants.iter().filter_map(|variant| match variant {
            Variant::Family { ty, .. } => Some(ty),
            Variant::Own(_) | Variant::Raw { .. } => None,
        })
    }

    /// The variant that keeps unknown events.
    pub(crate) fn raw(&self) -> Option<&Ident> {
        self.variants.iter().find_map(|variant| match variant {
            Variant::Raw { ident, .. } => Some(ident),
            Variant::Own(_) | Variant::Family { .. } => None,
        })
    }

    /// The types that old events are said to become, each where it is said.
    pub(crate) fn split_names(&self) -> impl Iterator<Item = &LitStr> {
        let of_upcasts = self.own().flat_map(|own| &own.upcasts).flat_map(|upcast| &upcast.into);
        let of_splits = self.keys.splits.iter().flat_map(|split| {
            split.into.iter().chain(split.upcasts.iter().flat_map(|upcast| &upcast.into))
        });
        of_upcasts.chain(of_splits)
    }

    pub(crate) fn has_own(&self, name: &LitStr) -> bool {
        self.own().any(|own| own.name.value() == name.value())
    }

    fn check_names_differ(&self, mistakes: &mut Mistakes) {
        let mut seen = HashSet::new();
        for EventType { name, .. } in self.own() {
            if !seen.insert(name.value()) {
                let message = format!(
                    "another variant is already called {:?}; each event type needs its own name",
                    name.value()
                );
                mistakes.add_at(name.span(), message);
            }
        }
        let renamed = self.own().flat_map(|own| &own.renamed_from);
        let splits = self.keys.splits.iter().map(|split| &split.name);
        for name in renamed.chain(splits).chain(&self.keys.dropped) {
            if !seen.insert(name.value()) {
                let message = format!(
                    "{:?} has a meaning already; an old name is renamed, split or dropped, and is \
                     no name of today",
                    name.value()
                );
                mistakes.add_at(name.span(), message);
            }
        }
    }

    fn check_raw(&self, mistakes: &mut Mistakes) {
        let mut raw = self.variants.iter().filter_map(|variant| match variant {
            Variant::Raw { at, .. } => Some(*at),
            Variant::Own(_) | Variant::Family { .. } => None,
        });
        let first = raw.next();
        for second in raw {
            mistakes
                .add_at(second, "one `raw` variant keeps every unknown event; this is a second");
        }
        if let (Some(unknown), Some(_)) = (&self.keys.unknown, first) {
            let message = "unknown events are kept by the `raw` variant: remove `unknown`, or the \
                           variant";
            mistakes.add_at(unknown.span(), message);
        }
    }

    fn check_described(&self, mistakes: &mut Mistakes) {
        if self.keys.has_schema {
            for field in self.own().flat_map(|own| own.data.fields()) {
                field.check_described(mistakes);
            }
        }
    }

    /// Names of embraced families are checked by the compiler, which alone knows them.
    fn check_into(&self, mistakes: &mut Mistakes) {
        if self.families().next().is_some() {
            return;
        }
        for name in self.split_names().filter(|name| !self.has_own(name)) {
            let message = format!("no variant is called {:?}", name.value());
            mistakes.add_at(name.span(), message);
        }
    }
}

fn check_generics(generics: &Generics, mistakes: &mut Mistakes) {
    if let Some(first) = generics.params.first() {
        let message = "an event family can't be generic: its event types are one fixed list";
        mistakes.add(syn::Error::new_spanned(first, message));
    }
}

impl FamilyKeys {
    fn read(attributes: &[Attribute], mistakes: &mut Mistakes) -> Self {
        let mut highwater = None;
        let mut keys = Self {
            highwater: default_crate(),
            dropped: Vec::new(),
            splits: Vec::new(),
            skips_unknown: false,
            has_schema: false,
            unknown: None,
        };
        mistakes.read(attributes, "event", |meta| {
            let key = meta.path.get_ident().map(ToString::to_string);
            match key.as_deref() {
                Some("crate") => set_crate(&meta, &mut highwater),
                Some("unknown") => set_once(&meta, &mut keys.unknown),
                Some("dropped") => dropped(&meta, &mut keys.dropped),
                Some("split") => {
                    keys.splits.push(Split::read(&meta)?);
                    Ok(())
                }
                Some("schema") => {
                    keys.has_schema = true;
                    Ok(())
                }
                Some("category") => {
                    let message = "events have no category, streams have: \
                                   write it in `#[aggregate(category = \"…\")]`";
                    Err(meta.error(message))
                }
                _ => {
                    let known = ["crate", "unknown", "dropped", "split", "schema"];
                    Err(unknown_key(&meta, "an event family", &known))
                }
            }
        });
        keys.highwater = highwater.unwrap_or_else(default_crate);
        keys.skips_unknown = keys.check_unknown(mistakes);
        for split in &keys.splits {
            split.check(mistakes);
        }
        keys
    }

    /// Whether unknown events are skipped.
    fn check_unknown(&self, mistakes: &mut Mistakes) -> bool {
        let Some(unknown) = &self.unknown else {
            return false;
        };
        match unknown.value().as_str() {
            "skip" => return true,
            "fail" => {}
            "raw" => mistakes.add_at(
                unknown.span(),
                "to keep unknown events, add a variant: `#[event(raw)] Other(RawEvent)`",
            ),
            _ => mistakes.add_at(
                unknown.span(),
                "unknown events either \"fail\" (the default) or are \"skip\"ped; to keep them, add \
                 a variant `#[event(raw)] Other(RawEvent)`",
            ),
        }
        false
    }
}
