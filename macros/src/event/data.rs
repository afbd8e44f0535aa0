//! What a variant holds: its fields, which of them are tags, and what serde shall do with them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Fields, Ident, Lit, LitStr, Meta, Token, Type};

use crate::attribute::Mistakes;
use crate::suggestion::unknown_key;

/// The data of an event type.
pub(crate) enum Data {
    /// The variant's own fields; none for a unit variant.
    Fields {
        /// What serde is told about all of them.
        serde: TokenStream,
        fields: Vec<Field>,
    },
    /// A struct that the variant wraps.
    Struct { ty: Type, tag: Option<LitStr>, is_personal: bool },
}

/// A named field.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) serde: Vec<Attribute>,
    /// What schemars is told about it, where serde doesn't say it all.
    pub(crate) schemars: Vec<Attribute>,
    /// The tag's name, if the field is one.
    pub(crate) tag: Option<LitStr>,
    /// Its type must seal what is in it.
    pub(crate) is_personal: bool,
}

impl Data {
    pub(crate) fn read(
        variant: &Ident,
        fields: Fields,
        (family, own): (&[Attribute], &[Attribute]),
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        match fields {
            Fields::Unnamed(mut fields) if fields.unnamed.len() == 1 => {
                let field = fields.unnamed.pop()?.into_value();
                let (tag, is_personal) = read_marks(&field, mistakes);
                Some(Self::Struct { ty: field.ty, tag, is_personal })
            }
            Fields::Unnamed(fields) => {
                let message = format!(
                    "an event's data is a JSON object, so its fields need names: write \
                     `{variant} {{ name: Type, … }}`, or wrap one struct: `{variant}(Struct)`"
                );
                mistakes.add(syn::Error::new_spanned(fields, message));
                None
            }
            named_or_none => Some(Self::Fields {
                serde: serde_of_struct(family, own, mistakes),
                fields: named_or_none
                    .into_iter()
                    .filter_map(|field| Field::read(field, mistakes))
                    .collect(),
            }),
        }
    }

    /// The variant's own fields.
    pub(crate) fn fields(&self) -> &[Field] {
        match self {
            Self::Fields { fields, .. } => fields,
            Self::Struct { .. } => &[],
        }
    }

    /// The types that must seal what is in them.
    pub(crate) fn personal(&self) -> Vec<&Type> {
        match self {
            Self::Fields { fields, .. } => {
                fields.iter().filter(|field| field.is_personal).map(|field| &field.ty).collect()
            }
            Self::Struct { ty, is_personal, .. } => is_personal.then_some(ty).into_iter().collect(),
        }
    }

    /// Whether any field is a tag.
    pub(crate) fn is_tagged(&self) -> bool {
        match self {
            Self::Fields { fields, .. } => fields.iter().any(|field| field.tag.is_some()),
            Self::Struct { tag, .. } => tag.is_some(),
        }
    }
}

impl Field {
    fn read(field: syn::Field, mistakes: &mut Mistakes) -> Option<Self> {
        let (tag, is_personal) = read_marks(&field, mistakes);
        let serde = field.attrs.iter().filter(|attribute| is_serde(attribute)).cloned().collect();
        let is_schemars = |attribute: &Attribute| attribute.path().is_ident("schemars");
        let schemars = field.attrs.into_iter().filter(is_schemars).collect();
        Some(Self { ident: field.ident?, ty: field.ty, serde, schemars, tag, is_personal })
    }

    /// Finds a field whose schema says what serde doesn't do: that it may be missing. An `Option`
    /// may, but not where a function of the user's own reads it.
    pub(crate) fn check_described(&self, mistakes: &mut Mistakes) {
        let told = keys_of(&self.serde, "serde").collect::<Vec<_>>();
        let schema = keys_of(&self.schemars, "schemars").collect::<Vec<_>>();
        let read_by = named(&told, &["with", "deserialize_with"]);
        let (Some(read_by), None) = (read_by, named(&told, &["default"])) else {
            return;
        };
        let described = schema.iter().find_map(described_as);
        let is_required = named(&schema, &["schema_with", "required"]).is_some();
        if !is_required && is_option(described.as_ref().unwrap_or(&self.ty)) {
            let message = "its schema says that it may be missing, and serde demands it where it is \
                           read by a function of its own: add `default`";
            mistakes.add(syn::Error::new_spanned(read_by, message));
        }
    }
}

fn named<'a>(keys: &'a [Meta], names: &[&str]) -> Option<&'a Meta> {
    keys.iter().find(|meta| names.contains(&name_of(meta).as_str()))
}

/// The type in `#[schemars(with = "Type")]`.
fn described_as(meta: &Meta) -> Option<Type> {
    let Meta::NameValue(pair) = meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(ty), .. }) = &pair.value else { return None };
    if name_of(meta) == "with" { ty.parse().ok() } else { None }
}

fn is_option(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Option"),
        _ => false,
    }
}

/// Reads the tag's name, and whether the field is personal.
fn read_marks(field: &syn::Field, mistakes: &mut Mistakes) -> (Option<LitStr>, bool) {
    let (mut tag, mut is_personal) = (None, false);
    mistakes.read(&field.attrs, "event", |meta| {
        if meta.path.is_ident("personal") {
            is_personal = true;
            return Ok(());
        }
        if !meta.path.is_ident("tag") {
            return Err(unknown_key(&meta, "an event's field", &["tag", "personal"]));
        }
        tag = Some(if meta.input.peek(Token![=]) {
            meta.value()?.parse()?
        } else if let Some(ident) = &field.ident {
            LitStr::new(&ident.unraw().to_string(), meta.path.span())
        } else {
            return Err(meta.error("the tag needs a name here: write `tag = \"name\"`"));
        });
        Ok(())
    });
    if let Some(tag) = &tag {
        check_tag_name(tag, mistakes);
        if is_personal {
            mistakes
                .add_at(tag.span(), "a tag is stored in plain text: personal data can't be one");
        }
    }
    (tag, is_personal)
}

fn check_tag_name(tag: &LitStr, mistakes: &mut Mistakes) {
    let name = tag.value();
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        let message = "a tag's name has at least one letter, no `:` and no control character";
        mistakes.add_at(tag.span(), message);
    }
}

fn is_serde(attribute: &Attribute) -> bool {
    attribute.path().is_ident("serde")
}

/// What serde is told about the fields together. On an enum and its variants serde attributes may
/// also be meant for a serde derive beside ours; only those about a variant's fields concern us.
fn serde_of_struct(
    family: &[Attribute],
    variant: &[Attribute],
    mistakes: &mut Mistakes,
) -> TokenStream {
    let of_family = keys_of(family, "serde").filter_map(|meta| match name_of(&meta).as_str() {
        "rename_all_fields" => renamed_to_rename_all(&meta),
        "deny_unknown_fields" => Some(meta.into_token_stream()),
        _ => None,
    });
    let of_variant = keys_of(variant, "serde").filter_map(|meta| match name_of(&meta).as_str() {
        "rename_all" | "deny_unknown_fields" => Some(meta.into_token_stream()),
        "default" => {
            let message = "a variant has no default: write `default` on each field that may be \
                           missing";
            mistakes.add(syn::Error::new_spanned(meta, message));
            None
        }
        _ => None,
    });
    // The variant's word comes last and counts.
    let mut keys: Vec<(String, TokenStream)> = Vec::new();
    for key in of_family.chain(of_variant) {
        let name = key.clone().into_iter().next().map(|token| token.to_string());
        let name = name.unwrap_or_default();
        keys.retain(|(other, _)| *other != name);
        keys.push((name, key));
    }
    let keys = keys.into_iter().map(|(_, key)| key);
    quote!(#(#keys,)*)
}

/// What attributes of this name say.
fn keys_of<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = Meta> + 'a {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
        // What serde can't parse, serde's own derive reports; schemars does as well.
        .filter_map(|attribute| {
            attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()
        })
        .flatten()
}

fn name_of(meta: &Meta) -> String {
    meta.path().get_ident().map(ToString::to_string).unwrap_or_default()
}

fn renamed_to_rename_all(meta: &Meta) -> Option<TokenStream> {
    match meta {
        Meta::NameValue(pair) => {
            let value = &pair.value;
            Some(quote!(rename_all = #value))
        }
        Meta::List(list) => {
            let tokens = &list.tokens;
            Some(quote!(rename_all(#tokens)))
        }
        Meta::Path(_) => None,
    }
}
