//! The code that a family becomes.
//!
//! A variant's fields are written and read through two private structs, one that borrows them and
//! one that owns them, so that serde does the work and nothing is copied to be written.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, LitInt, LitStr};

use super::data::{Data, Field};
use super::definition::Family;
use super::variant::{EventType, Variant};

/// The whole of what the derive writes.
pub(crate) fn of(family: &Family) -> TokenStream {
    let Family { ident, highwater, .. } = family;
    let structs = family.own().map(|event_type| structs(family, event_type));
    let (joined_types, types) = types(family);
    let event_type = event_type(family);
    let schema_version = schema_version(family);
    let tags = tags(family);
    let encode = encode(family);
    let decode = decode(family);
    quote! {
        #[allow(deprecated)]
        const _: () = {
            #(#structs)*
            #joined_types

            #[automatically_derived]
            impl #highwater::Event for #ident {
                #types
                #event_type
                #schema_version
                #tags
                #encode
                #decode
            }
        };
    }
}

/// The struct that owns the fields while they are read.
fn owned(family: &Family, event_type: &EventType) -> Ident {
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
    let highwater = &family.highwater;
    let serde_crate = quote!(#highwater::__private::serde);
    let serde_path = serde_crate.to_string().replace(' ', "");
    let (owned, borrowed) = (owned(family, event_type), borrowed(family, event_type));
    let lifetime = (!fields.is_empty()).then(|| quote!(<'a>));
    let owned_fields =
        fields.iter().map(|Field { ident, ty, serde, .. }| quote!(#(#serde)* #ident: #ty));
    let borrowed_fields =
        fields.iter().map(|Field { ident, ty, serde, .. }| quote!(#(#serde)* #ident: &'a #ty));
    Some(quote! {
        #[derive(#serde_crate::Deserialize)]
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
    let highwater = &family.highwater;
    let own = family.own().map(|EventType { name, version, .. }| {
        let version = number(*version);
        quote!(#highwater::EventDescriptor { name: #name, version: #version })
    });
    let own = quote!(&[#(#own),*]);
    let families: Vec<_> = family
        .variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::Family { ty, .. } => Some(quote!(<#ty as #highwater::Event>::TYPES)),
            Variant::Own(_) => None,
        })
        .collect();
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
    let highwater = &family.highwater;
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(EventType { ident, name, .. }) => quote!(Self::#ident { .. } => #name),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => #highwater::Event::event_type(event))
        }
    });
    let matched = match_self(family, arms);
    quote! {
        fn event_type(&self) -> &'static str {
            #matched
        }
    }
}

fn schema_version(family: &Family) -> TokenStream {
    let highwater = &family.highwater;
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(EventType { ident, version, .. }) => {
            let version = number(*version);
            quote!(Self::#ident { .. } => #version)
        }
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => #highwater::Event::schema_version(event))
        }
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
    });
    if !has_tags {
        return None;
    }
    let highwater = &family.highwater;
    let private = quote!(#highwater::__private);
    let result = quote!(#private::result::Result);
    let vec = quote!(#private::vec::Vec);
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(event_type) => tags_of(family, event_type),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => return #highwater::Event::tags(event))
        }
    });
    let body = if family.own().next().is_none() {
        delegated(family, &quote!(tags))
    } else {
        quote! {
            let tags: #result<#vec<#highwater::Tag>, #highwater::InvalidTag> = match self {
                #(#arms,)*
            };
            tags.map_err(|source| #highwater::EncodeError::Tag {
                event_type: #highwater::Event::event_type(self),
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
    let Family { highwater, .. } = family;
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
        Data::Struct { ty, tag: Some(name) } => {
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
    let highwater = &family.highwater;
    let result = quote!(#highwater::__private::result::Result);
    let arms = family.variants.iter().map(|variant| match variant {
        Variant::Own(event_type) => encode_arm(family, event_type),
        Variant::Family { ident, .. } => {
            quote!(Self::#ident(event) => return #highwater::Event::encode(event))
        }
    });
    let body = if family.own().next().is_none() {
        delegated(family, &quote!(encode))
    } else {
        quote! {
            let data = match self {
                #(#arms,)*
            };
            data.map_err(|source| #highwater::EncodeError::Data {
                event_type: #highwater::Event::event_type(self),
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
    let highwater = &family.highwater;
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

fn decode(family: &Family) -> TokenStream {
    let highwater = &family.highwater;
    let result = quote!(#highwater::__private::result::Result);
    let delegations = family.variants.iter().filter_map(|variant| match variant {
        Variant::Own(_) => None,
        Variant::Family { ident, ty } => Some(quote! {
            if #highwater::__private::has_type(<#ty as #highwater::Event>::TYPES, event_type) {
                return <#ty as #highwater::Event>::decode(event_type, schema_version, data)
                    .map(Self::#ident);
            }
        }),
    });
    let own = decode_own(family);
    quote! {
        fn decode(
            event_type: &str,
            schema_version: u32,
            data: &#highwater::Payload,
        ) -> #result<Self, #highwater::DecodeError> {
            #(#delegations)*
            #own
        }
    }
}

fn decode_own(family: &Family) -> TokenStream {
    let Family { ident, highwater, .. } = family;
    let private = quote!(#highwater::__private);
    let err = quote!(#private::result::Result::Err);
    let family_name = ident.to_string();
    let unknown = quote! {
        #private::unknown::<Self>(#family_name, event_type, schema_version)
    };
    if family.own().next().is_none() {
        return quote! {
            let _ = data;
            #err(#unknown)
        };
    }
    let arms = family.own().map(|event_type| decode_arms(family, event_type));
    quote! {
        let decoded: #private::result::Result<Self, #highwater::InvalidPayload> =
            match (event_type, schema_version) {
                #(#arms)*
                _ => return #err(#unknown),
            };
        decoded.map_err(|source| #highwater::DecodeError::Malformed {
            event_type: #private::string::String::from(event_type),
            schema_version,
            source,
        })
    }
}

/// One arm for the version that is written and one for each older version that is still read.
fn decode_arms(family: &Family, event_type: &EventType) -> TokenStream {
    let EventType { ident, name, version, upcasts, data } = event_type;
    let constructor = match data {
        Data::Fields { fields, .. } => {
            let owned = owned(family, event_type);
            let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
            quote!(|#owned { #(#names),* }| Self::#ident { #(#names),* })
        }
        Data::Struct { .. } => quote!(Self::#ident),
    };
    let version = number(*version);
    let old = upcasts.iter().map(|upcast| {
        let (from, with) = (number(upcast.from), &upcast.with);
        let read = quote_spanned!(with.span()=> data.to_value().map(#with));
        quote!((#name, #from) => #read,)
    });
    quote! {
        (#name, #version) => data.to_value().map(#constructor),
        #(#old)*
    }
}

/// What an enum that only embraces families does: it leaves `method` to the family inside.
fn delegated(family: &Family, method: &TokenStream) -> TokenStream {
    let highwater = &family.highwater;
    let arms = family.variants.iter().filter_map(|variant| match variant {
        Variant::Own(_) => None,
        Variant::Family { ident, .. } => {
            Some(quote!(Self::#ident(event) => #highwater::Event::#method(event)))
        }
    });
    match_self(family, arms)
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
fn number(value: u32) -> LitInt {
    LitInt::new(&value.to_string(), proc_macro2::Span::call_site())
}
