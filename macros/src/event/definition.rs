//! The enum as a whole: where Highwater is, and which event types there are.

use std::collections::HashSet;

use syn::{Attribute, Data, DeriveInput, Generics, Ident, Path};

use super::variant::{EventType, Variant};
use crate::attribute::{Mistakes, default_crate, set_crate};
use crate::suggestion::unknown_key;

/// An enum that derives `Event`.
pub(crate) struct Family {
    pub(crate) ident: Ident,
    pub(crate) highwater: Path,
    pub(crate) variants: Vec<Variant>,
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
        let highwater = read_enum(&input.attrs, &mut mistakes);
        let variants = data
            .variants
            .into_iter()
            .filter_map(|variant| Variant::read(variant, &input.ident, &input.attrs, &mut mistakes))
            .collect();
        let family = Self { ident: input.ident, highwater, variants };
        family.check_names_differ(&mut mistakes);
        mistakes.finish(Some(family))
    }

    /// The variants that are event types of their own.
    pub(crate) fn own(&self) -> impl Iterator<Item = &EventType> {
        self.variants.iter().filter_map(|variant| match variant {
            Variant::Own(event_type) => Some(event_type),
            Variant::Family { .. } => None,
        })
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
    }
}

fn check_generics(generics: &Generics, mistakes: &mut Mistakes) {
    if let Some(first) = generics.params.first() {
        let message = "an event family can't be generic: its event types are one fixed list";
        mistakes.add(syn::Error::new_spanned(first, message));
    }
}

fn read_enum(attributes: &[Attribute], mistakes: &mut Mistakes) -> Path {
    let mut highwater = None;
    mistakes.read(attributes, "event", |meta| {
        if meta.path.is_ident("crate") {
            set_crate(&meta, &mut highwater)
        } else if meta.path.is_ident("category") {
            let message = "events have no category, streams have: \
                           write it in `#[aggregate(category = \"…\")]`";
            Err(meta.error(message))
        } else {
            Err(unknown_key(&meta, "an event family", &["crate"]))
        }
    });
    highwater.unwrap_or_else(default_crate)
}
