//! The code that reads stored events: today's shape, older ones through their chains, names of the
//! past, and by policy what is unknown.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{LitStr, Path};

use super::code::{number, owned};
use super::data::Data;
use super::definition::Family;
use super::former::{Split, chain, ends_early};
use super::variant::{EventType, Variant};

/// `FORMER_TYPES`, and what must stand before the impl: nothing of both in the ordinary case.
pub(super) fn former(family: &Family) -> (Option<TokenStream>, Option<TokenStream>) {
    let highwater = &family.keys.highwater;
    let own: Vec<_> = own_former(family);
    let families: Vec<_> = family.families().collect();
    let signature = quote!(const FORMER_TYPES: &'static [#highwater::FormerType]);
    if families.is_empty() {
        let former = (!own.is_empty()).then(|| quote!(#signature = &[#(#own),*];));
        return (None, former);
    }
    let ambiguous = format!(
        "a former name of an event type in `{}` is read by two of its families, or by one and \
         itself",
        family.ident
    );
    let declared = family.split_names().filter(|name| !family.has_own(name)).map(|name| {
        let message = format!("no event type of `{}` is called {:?}", family.ident, name.value());
        quote_spanned!(name.span()=>
            const _: () = assert!(#highwater::__private::has_type(&JOINED, #name), #message);
        )
    });
    let joined = quote! {
        const FORMER: &[&[#highwater::FormerType]] =
            &[&[#(#own),*], #(<#families as #highwater::Event>::FORMER_TYPES),*];
        const JOINED_FORMER: [#highwater::FormerType; #highwater::__private::count_former(FORMER)] =
            #highwater::__private::join_former(FORMER);
        const _: () = assert!(
            #highwater::__private::is_former_unambiguous(FAMILIES, FORMER),
            #ambiguous,
        );
        #(#declared)*
    };
    (Some(joined), Some(quote!(#signature = &JOINED_FORMER;)))
}

fn own_former(family: &Family) -> Vec<TokenStream> {
    let highwater = &family.keys.highwater;
    let former = |name: &LitStr, versions: (u32, u32), now: Vec<&LitStr>, is_renamed: bool| {
        let (oldest, version) = (number(versions.0), number(versions.1));
        quote! {
            #highwater::FormerType {
                name: #name,
                oldest: #oldest,
                version: #version,
                now: &[#(#now),*],
                is_renamed: #is_renamed,
            }
        }
    };
    let mut all = Vec::new();
    for EventType { name, oldest, version, upcasts, renamed_from, .. } in family.own() {
        let versions = (*oldest, *version);
        let into: Vec<_> = upcasts.iter().flat_map(|upcast| &upcast.into).collect();
        if !into.is_empty() {
            all.push(former(name, versions, into.clone(), false));
        }
        for old in renamed_from {
            let now = std::iter::once(name).chain(into.iter().copied()).collect();
            all.push(former(old, versions, now, true));
        }
    }
    for Split { name, version, into, upcasts, .. } in &family.keys.splits {
        let into = into.iter().chain(upcasts.iter().flat_map(|upcast| &upcast.into)).collect();
        all.push(former(name, (1, *version), into, false));
    }
    for name in &family.keys.dropped {
        all.push(former(name, (0, u32::MAX), Vec::new(), false));
    }
    all
}

/// What becomes of unknown events, if it isn't the default; and how to get at a raw one.
pub(super) fn policy(family: &Family) -> Option<TokenStream> {
    let highwater = &family.keys.highwater;
    let signature = quote!(const UNKNOWN: #highwater::UnknownEvents = #highwater::UnknownEvents);
    let skips = family.keys.skips_unknown.then(|| quote!(#signature::Skip;));
    let keeps = family.raw().map(|_| quote!(#signature::KeepRaw;));
    let arms: Vec<_> = family
        .variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::Own(_) => None,
            Variant::Family { ident, .. } => {
                Some(quote!(Self::#ident(event) => #highwater::Event::as_raw(event)))
            }
            Variant::Raw { ident, .. } => {
                let some = quote!(#highwater::__private::option::Option::Some);
                Some(quote!(Self::#ident(event) => #some(event)))
            }
        })
        .collect();
    let none = quote!(#highwater::__private::option::Option::None);
    let rest = family.own().next().map(|_| quote!(_ => #none,));
    let as_raw = (!arms.is_empty()).then(|| {
        quote! {
            fn as_raw(&self) -> #highwater::__private::option::Option<&#highwater::RawEvent> {
                match self {
                    #(#arms,)*
                    #rest
                }
            }
        }
    });
    let unknown_of = unknown_of(family);
    let policy = quote!(#skips #keeps #unknown_of #as_raw);
    (!policy.is_empty()).then_some(policy)
}

/// Whose policy covers a type: that of the family to which `decode` leaves it.
fn unknown_of(family: &Family) -> Option<TokenStream> {
    let highwater = &family.keys.highwater;
    let is_read = quote!(#highwater::__private::is_read);
    let delegations = family.families().map(|ty| {
        let of = quote!(<#ty as #highwater::Event>);
        quote! {
            if #is_read(#of::TYPES, #of::FORMER_TYPES, event_type) {
                return #of::unknown_of(event_type);
            }
        }
    });
    let delegations: Vec<_> = delegations.collect();
    (!delegations.is_empty()).then(|| {
        quote! {
            fn unknown_of(event_type: &str) -> #highwater::UnknownEvents {
                #(#delegations)*
                <Self as #highwater::Event>::UNKNOWN
            }
        }
    })
}

/// `decode`.
pub(super) fn decode(family: &Family) -> TokenStream {
    let Family { ident, keys, .. } = family;
    let highwater = &keys.highwater;
    let private = quote!(#highwater::__private);
    let delegations = family.variants.iter().filter_map(|variant| match variant {
        Variant::Own(_) | Variant::Raw { .. } => None,
        Variant::Family { ident, ty } => {
            let of = quote!(<#ty as #highwater::Event>);
            Some(quote! {
                if #private::is_read(#of::TYPES, #of::FORMER_TYPES, event_type) {
                    return #of::decode(event_type, schema_version, data)
                        .map(|decoded| decoded.map(Self::#ident));
                }
            })
        }
    });
    let own = family.own().map(|event_type| arms_of_type(family, event_type));
    let splits = keys.splits.iter().map(|split| arms_of_split(family, split));
    let arms: Vec<_> = own.chain(splits).collect();
    let name = ident.to_string();
    let keep = match family.raw() {
        Some(raw) => quote!(#private::option::Option::Some(Self::#raw)),
        None => quote!(#private::option::Option::None),
    };
    let unread = quote!(#private::unread(#name, (event_type, schema_version), data, #keep));
    let body = if arms.is_empty() {
        unread
    } else {
        quote! {
            match (event_type, schema_version) {
                #(#arms)*
                _ => #unread,
            }
        }
    };
    quote! {
        fn decode(
            event_type: &str,
            schema_version: u32,
            data: &#highwater::Payload,
        ) -> #private::result::Result<#highwater::Decoded<Self>, #highwater::DecodeError> {
            #(#delegations)*
            #body
        }
    }
}

/// One arm for the version that is written and one for each older version that is still read.
fn arms_of_type(family: &Family, event_type: &EventType) -> TokenStream {
    let EventType { ident, name, version, oldest, upcasts, renamed_from, data } = event_type;
    let highwater = &family.keys.highwater;
    let private = quote!(#highwater::__private);
    let constructor = match data {
        Data::Fields { fields, .. } => {
            let owned = owned(family, event_type);
            let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
            quote!(|#owned { #(#names),* }| Self::#ident { #(#names),* })
        }
        Data::Struct { .. } => quote!(Self::#ident),
    };
    let names = quote!(#name #(| #renamed_from)*);
    let old = (*oldest..*version).map(|from| old_arm(family, &names, from, &chain(upcasts, from)));
    let version = number(*version);
    quote! {
        (#names, #version) => {
            #private::read(data.to_value().map(#constructor), event_type, schema_version)
        }
        #(#old)*
    }
}

fn arms_of_split(family: &Family, split: &Split) -> TokenStream {
    let Split { name, version, upcasts, with, .. } = split;
    let names = quote!(#name);
    let arms = (1..=*version).map(|from| {
        let mut functions = chain(upcasts, from);
        if !ends_early(upcasts, from) {
            functions.push(with);
        }
        old_arm(family, &names, from, &functions)
    });
    quote!(#(#arms)*)
}

/// Reads an old shape, and leads it through the functions to today's events. What doesn't fit is
/// reported at the function that it doesn't fit.
fn old_arm(family: &Family, names: &TokenStream, from: u32, functions: &[&Path]) -> TokenStream {
    let highwater = &family.keys.highwater;
    let private = quote!(#highwater::__private);
    let from = number(from);
    let calls = functions.iter().map(|with| quote_spanned!(with.span()=> .map(#with)));
    let end = functions.last().map_or_else(proc_macro2::Span::call_site, |with| with.span());
    let made = quote_spanned!(end=> data.to_value()#(#calls)*);
    let upcasted = quote_spanned!(end=> #private::upcasted::<Self>);
    quote!((#names, #from) => #upcasted(#made, event_type, schema_version),)
}
