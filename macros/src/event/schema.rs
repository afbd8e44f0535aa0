//! The code that describes events by a JSON Schema: only where the enum asks for it, so that a
//! domain crate without it needs no schemars.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::code::{number, owned};
use super::data::Data;
use super::definition::Family;
use super::variant::{EventType, Variant};

/// What stands on the struct of an event's fields.
pub(super) fn derived(family: &Family) -> Option<TokenStream> {
    let highwater = &family.keys.highwater;
    let schemars = quote!(#highwater::__private::schemars);
    let path = schemars.to_token_stream().to_string().replace(' ', "");
    family.keys.has_schema.then(|| {
        quote! {
            #[derive(#schemars::JsonSchema)]
            #[schemars(crate = #path)]
        }
    })
}

/// The list of the family's schemas.
pub(super) fn description(family: &Family) -> Option<TokenStream> {
    if !family.keys.has_schema {
        return None;
    }
    let (ident, highwater) = (&family.ident, &family.keys.highwater);
    let entries = family.variants.iter().filter_map(|variant| match variant {
        Variant::Own(event_type) => Some(entry(family, event_type)),
        Variant::Family { ty, .. } => {
            Some(quote!(<#ty as #highwater::schema::DescribeEvents>::describe(schemas);))
        }
        Variant::Raw { .. } => None,
    });
    Some(quote! {
        #[automatically_derived]
        impl #highwater::schema::DescribeEvents for #ident {
            fn describe(schemas: &mut #highwater::schema::EventSchemas) {
                #(#entries)*
            }
        }
    })
}

fn entry(family: &Family, event_type: &EventType) -> TokenStream {
    let EventType { name, version, data, .. } = event_type;
    let version = number(*version);
    match data {
        Data::Fields { .. } => {
            let owned = owned(family, event_type);
            quote!(schemas.add::<#owned>(#name, #version);)
        }
        Data::Struct { ty, .. } => {
            quote_spanned!(ty.span()=> schemas.add::<#ty>(#name, #version);)
        }
    }
}
