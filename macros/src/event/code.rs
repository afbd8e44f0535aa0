//! The code that a family becomes.
//!
//! A variant's fields are written and read through two private structs, one that borrows them and
//! one that owns them, so that serde does the work and nothing is copied to be written. How events
//! are read is in `reading`.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, LitInt, LitStr};

use super::data::{Data, Field};
use super::definition::Family;
use super::variant::{EventType, Variant};
use super::{reading, schema};

/// The whole of what the derive writes.
pub(crate) fn of(family: &Family) -> TokenStream {
    let Family { ident, keys, .. } = family;
    let highwater = &keys.highwater;
    let structs = family.own().map(|event_type| structs(family, event_type));
    let personal = family.own().flat_map(|event_type| personal(family, event_type));
    let (joined_types, types) = types(family);
    let event_type = event_type(family);
    let schema_version = schema_version(family);
    let tags = tags(family);
    let encode = encode(family);
    let (joined_former, former) = reading::former(family);
    let decode = reading::decode(family);
    let unknown = reading::policy(family);
    let description = schema::description(family);
    quote! {
        #[allow(deprecated)]
        const _: () = {
            #(#structs)*
            #(#personal)*
            #joined_types
            #joined_former

            #[automatically_derived]
            impl #highwater::Event for #ident {
                #types
                #former
                #unknown
                #event_type
                #schema_version
                #tags
                #encode
                #decode
            }

            #description
        };
    }
}

/// Fails to compile if what is said to be personal would be stored in plain text.
fn personal(family: &Family, event_type: &EventType) -> Vec<TokenStream> {
    let highwater = &family.keys.highwater;
    let check = |ty: &&syn::Type| {
        quote_spanned!(ty.span()=> const _: fn() = || {
            fn is_sealed<T: #highwater::PersonalData>() {}
            is_sealed::<#ty>();
        };)
    };
    event_type.data.personal().iter().map(check).collect()
}

/// The struct that owns the fields while they are read.
pub(super) fn owned(family: &Family, event_type: &EventType) -> Ident {
    format_ident!("{}{}Fields", family.ident, event_type.ident)
}

/// The struct that borrows the fields while they are written.
fn borrowed(family: &Family, event_type: &EventType) -> Ident {
    format_ident!("{}{}FieldsRef", family.ident, event_type.ident)
}

fn structs(family: &Family, event_type: &EventType) -> Option<TokenStream> {
    let Data::Fields { serde, fields } = &event_type.data else {
        return None;
    };
    let highwater = &family.keys.highwater;
    let serde_crate = quote!(#highwater::__private::serde);
    let serde_path = serde_crate.to_string().replace(' ', "");
    let (owned, borrowed) = (owned(family, event_type), borrowed(family, event_type));
    let lifetime = (!fields.is_empty()).then(|| quote!(<'a>));
    let with_schema = schema::derived(family);
    let owned_fields = fields.iter().map(|Field { ident, ty, serde, schemars, .. }| {
        let schemars = with_schema.is_some().then_some(schemars).into_iter().flatten();
        quote!(#(#serde)* #(#schemars)* #ident: #ty)
    });
    let borrowed_fields =
        fields.iter().map(|Field { ident, ty, serde, .. }| quote!(#(#serde)* #ident: &'a #ty));
    Some(quote! {
        #[derive(#serde_crate::Deserialize)]
        #with_schema
        #[serde(crate = #serde_path, #serde)]
        struct #owned {
            #(#owned_fields,)*
        }

        #[derive(#serde_crate::Serialize)]
        #[serde(crate = #serde_path, #serde)]
        struct #borrowed #lifetime {
            #(#borrowed_fields,)*
        }
    })
}

/// `TYPES`, and what must stand before the impl to compute it.
fn types(family: &Family) -> (Option<TokenStream>, TokenStream) {
    let highwater = &family.keys.highwater;
    let own = family.own().map(|EventType { name, oldest, version, .. }| {
        let (oldest, version) = (number(*oldest), number(*version));
        quote!(#highwater::EventDescriptor { name: #name, oldest: #oldest, version: #version })
    });
    let own = quote!(&[#(#own),*]);
    let families: Vec<_> =
        family.families().map(|ty| quote!(<#ty as #highwater::Event>::TYPES)).collect();
    let signature = quote!(const TYPES: &'static [#highwater::EventDescriptor]);
    if families.is_empty() {
        return (None, quote!(#signature = #own;));
    }
    let ambiguous =
        format!("an event type occurs twice in `{}`: among its families and its own", family.ident);
    let joined = quote! {
        const FAMILIES: &[&[#highwater::EventDescriptor]] = &[#own, #(#families),*];
        const JOINED: [#highwater::EventDescriptor; #highwater::__private::count_types(FAMILIES)] =
            #highwater::__private::join_types(FAMILIES);
        const _: () = assert!(
            #highwater::__private::is_unambiguous(&JOINED),
            #ambiguous,
        );
    };
    (Some(joined), quote!(#signature = &JOINED;))
}

fn event_type(family: &Family) -> TokenStream {
    let highwater = &family.keys.highwater;
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(EventType { ident, name, .. }) => quote!(Self::#ident { .. } => #name),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => #highwater::Event::event_type(event))
        }
        Variant::Raw { ident, .. } => quote!(Self::#ident(event) => event.event_type().as_str()),
    });
    let matched = match_self(family, arms);
    quote! {
        fn event_type(&self) -> &str {
            #matched
        }
    }
}

fn schema_version(family: &Family) -> TokenStream {
    let highwater = &family.keys.highwater;
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(EventType { ident, version, .. }) => {
            let version = number(*version);
            quote!(Self::#ident { .. } => #version)
        }
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => #highwater::Event::schema_version(event))
        }
        Variant::Raw { ident, .. } => quote!(Self::#ident(event) => event.schema_version()),
    });
    let matched = match_self(family, arms);
    quote! {
        fn schema_version(&self) -> u32 {
            #matched
        }
    }
}

/// Left to the trait's default if no event has tags.
fn tags(family: &Family) -> Option<TokenStream> {
    let has_tags = family.variants.iter().any(|variant| match variant {
        Variant::Own(event_type) => event_type.data.is_tagged(),
        Variant::Family { .. } => true,
        Variant::Raw { .. } => false,
    });
    if !has_tags {
        return None;
    }
    let highwater = &family.keys.highwater;
    let private = quote!(#highwater::__private);
    let result = quote!(#private::result::Result);
    let vec = quote!(#private::vec::Vec);
    let ok = quote!(#private::result::Result::Ok);
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(event_type) => tags_of(family, event_type),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => return #highwater::Event::tags(event))
        }
        Variant::Raw { ident, .. } => quote!(Self::#ident(_) => #ok(#vec::new())),
    });
    let body = if family.own().next().is_none() {
        let raw = family.raw().map(|ident| quote!(Self::#ident(_) => #ok(#vec::new())));
        delegated(family, &quote!(tags), raw)
    } else {
        quote! {
            let tags: #result<#vec<#highwater::Tag>, #highwater::InvalidTag> = match self {
                #(#arms,)*
            };
            tags.map_err(|source| #highwater::EncodeError::Tag {
                event_type: #highwater::EventType::from(#highwater::Event::event_type(self)),
                source,
            })
        }
    };
    Some(quote! {
        fn tags(&self) -> #result<#vec<#highwater::Tag>, #highwater::EncodeError> {
            #body
        }
    })
}

fn tags_of(family: &Family, event_type: &EventType) -> TokenStream {
    let highwater = &family.keys.highwater;
    let EventType { ident, data, .. } = event_type;
    let tag = |name: &LitStr, value: &dyn ToTokens, span| quote_spanned!(span=> #highwater::Tag::new(#name, #value));
    let (pattern, tags): (_, Vec<_>) = match data {
        Data::Fields { fields, .. } => {
            let tagged = || fields.iter().filter(|field| field.tag.is_some());
            let idents = tagged().map(|field| &field.ident);
            let tags = tagged().filter_map(|Field { ident, ty, tag: name, .. }| {
                Some(tag(name.as_ref()?, ident, ty.span()))
            });
            (quote!(Self::#ident { #(#idents,)* .. }), tags.collect())
        }
        Data::Struct { ty, tag: Some(name), .. } => {
            (quote!(Self::#ident(data)), vec![tag(name, &quote!(data), ty.span())])
        }
        Data::Struct { tag: None, .. } => (quote!(Self::#ident { .. }), Vec::new()),
    };
    if tags.is_empty() {
        let private = quote!(#highwater::__private);
        quote!(#pattern => #private::result::Result::Ok(#private::vec::Vec::new()))
    } else {
        quote!(#pattern => [#(#tags),*].into_iter().collect())
    }
}

fn encode(family: &Family) -> TokenStream {
    let highwater = &family.keys.highwater;
    let result = quote!(#highwater::__private::result::Result);
    let kept = quote!(#highwater::__private::result::Result::Ok(event.data().clone()));
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(event_type) => encode_arm(family, event_type),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => return #highwater::Event::encode(event))
        }
        Variant::Raw { ident, .. } => quote!(Self::#ident(event) => return #kept),
    });
    let body = if family.own().next().is_none() {
        let raw = family.raw().map(|ident| quote!(Self::#ident(event) => #kept));
        delegated(family, &quote!(encode), raw)
    } else {
        quote! {
            let data = match self {
                #(#arms,)*
            };
            data.map_err(|source| #highwater::EncodeError::Data {
                event_type: #highwater::EventType::from(#highwater::Event::event_type(self)),
                source,
            })
        }
    };
    quote! {
        fn encode(&self) -> #result<#highwater::Payload, #highwater::EncodeError> {
            #body
        }
    }
}

fn encode_arm(family: &Family, event_type: &EventType) -> TokenStream {
    let highwater = &family.keys.highwater;
    let ident = &event_type.ident;
    match &event_type.data {
        Data::Fields { fields, .. } => {
            let borrowed = borrowed(family, event_type);
            let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
            quote! {
                Self::#ident { #(#names),* } => {
                    #highwater::Payload::from_value(&#borrowed { #(#names),* })
                }
            }
        }
        Data::Struct { ty, .. } => {
            let encoded = quote_spanned!(ty.span()=> #highwater::Payload::from_value(data));
            quote!(Self::#ident(data) => #encoded)
        }
    }
}

/// What an enum without event types of its own does: it leaves `method` to the family inside, with
/// `raw` as the arm for unknown events.
fn delegated(family: &Family, method: &TokenStream, raw: Option<TokenStream>) -> TokenStream {
    let highwater = &family.keys.highwater;
    let arms = family.variants.iter().filter_map(|variant| match variant {
        Variant::Own(_) | Variant::Raw { .. } => None,
        Variant::Family { ident, .. } => {
            Some(quote!(Self::#ident(event) => #highwater::Event::#method(event)))
        }
    });
    match_self(family, arms.chain(raw))
}

/// An empty enum can only be matched by its value.
fn match_self(family: &Family, arms: impl Iterator<Item = TokenStream>) -> TokenStream {
    if family.variants.is_empty() {
        quote!(match *self {})
    } else {
        quote! {
            match self {
                #(#arms,)*
            }
        }
    }
}

/// A number without the suffix of its type, as a person writes it.
pub(super) fn number(value: u32) -> LitInt {
    LitInt::new(&value.to_string(), proc_macro2::Span::call_site())
}
