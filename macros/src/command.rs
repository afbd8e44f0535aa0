//! `#[derive(Command)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Data, DataStruct, DeriveInput, Fields, Member, Path, Type};

use crate::attribute::{Mistakes, default_crate, set_crate, set_once};
use crate::suggestion::unknown_key;

/// A field that an attribute stands on.
struct Marked {
    member: Member,
    ty: Type,
}

struct Definition {
    aggregate: Type,
    id: Marked,
    idempotency_key: Option<Marked>,
    highwater: Path,
}

pub(crate) fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(DataStruct { fields, .. }) = &input.data else {
        let message = "a command is a struct with one field for the aggregate's id; \
                       write one struct per command";
        return Err(syn::Error::new(input.ident.span(), message));
    };
    let mut mistakes = Mistakes::default();
    let definition = Definition::read(&input, fields, &mut mistakes);
    mistakes.finish(definition).map(|definition| definition.code(&input))
}

impl Definition {
    fn read(input: &DeriveInput, fields: &Fields, mistakes: &mut Mistakes) -> Option<Self> {
        let (aggregate, highwater) = read_struct(input, mistakes);
        let (mut ids, mut keys) = (Vec::new(), Vec::new());
        for (member, field) in fields.members().zip(fields) {
            mistakes.read(&field.attrs, "command", |meta| {
                let marked = Marked { member: member.clone(), ty: field.ty.clone() };
                read_field(&meta, marked, &mut ids, &mut keys)
            });
        }
        for second in ids.iter().skip(1) {
            let message = "a command has one `#[command(id)]` field; this is another one";
            mistakes.add_at(second.member.span(), message);
        }
        for second in keys.iter().skip(1) {
            let message = "a command has one `#[command(idempotency_key)]` field at most; this is \
                           another one";
            mistakes.add_at(second.member.span(), message);
        }
        if ids.is_empty() {
            let message = "the command doesn't say which aggregate it is for: \
                           write `#[command(id)]` on the field with the aggregate's id";
            mistakes.add_at(input.ident.span(), message);
        }
        Some(Self {
            aggregate: aggregate?,
            id: ids.into_iter().next()?,
            idempotency_key: keys.into_iter().next(),
            highwater: highwater.unwrap_or_else(default_crate),
        })
    }

    fn code(&self, input: &DeriveInput) -> TokenStream {
        let Self { aggregate, id, highwater, .. } = self;
        let command = &input.ident;
        let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
        let id_member = &id.member;
        let target = quote_spanned!(id.ty.span()=> &self.#id_member);
        let command_id = self.idempotency_key.as_ref().map(|key| self.command_id(key));
        quote! {
            #[automatically_derived]
            impl #impl_generics #highwater::Command for #command #type_generics #where_clause {
                type Aggregate = #aggregate;

                fn target(&self) -> &<#aggregate as #highwater::Aggregate>::Id {
                    #target
                }

                #command_id
            }
        }
    }

    fn command_id(&self, key: &Marked) -> TokenStream {
        let highwater = &self.highwater;
        let private = quote!(#highwater::__private);
        let member = &key.member;
        let value = quote_spanned!(key.ty.span()=> &self.#member);
        quote! {
            fn command_id(&self) -> #private::option::Option<#highwater::CommandId> {
                #private::IdempotencyKey::command_id(#value)
            }
        }
    }
}

fn read_struct(input: &DeriveInput, mistakes: &mut Mistakes) -> (Option<Type>, Option<Path>) {
    let (mut aggregate, mut highwater) = (None, None);
    let mut is_understood = true;
    mistakes.read(&input.attrs, "command", |meta| {
        let read = if meta.path.is_ident("aggregate") {
            set_once(&meta, &mut aggregate)
        } else if meta.path.is_ident("crate") {
            set_crate(&meta, &mut highwater)
        } else {
            Err(unknown_key(&meta, "a command", &["aggregate", "crate"]))
        };
        is_understood &= read.is_ok();
        read
    });
    if aggregate.is_none() && is_understood {
        let message = "the command doesn't say who decides it: \
                       write `#[command(aggregate = TheAggregate)]` above it";
        mistakes.add_at(input.ident.span(), message);
    }
    (aggregate, highwater)
}

fn read_field(
    meta: &ParseNestedMeta<'_>,
    marked: Marked,
    ids: &mut Vec<Marked>,
    keys: &mut Vec<Marked>,
) -> syn::Result<()> {
    if meta.path.is_ident("id") {
        ids.push(marked);
    } else if meta.path.is_ident("idempotency_key") {
        keys.push(marked);
    } else {
        return Err(unknown_key(meta, "a command's field", &["id", "idempotency_key"]));
    }
    Ok(())
}
