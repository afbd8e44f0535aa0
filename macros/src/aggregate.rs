//! `#[derive(Aggregate)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Ident, LitStr, Path, Type};

use crate::attribute::{Mistakes, default_crate, set_crate, set_once};
use crate::snapshot::Snapshots;
use crate::suggestion::{snake_case, unknown_key};

/// The same limit as the core's `Category`.
const MAX_CATEGORY_BYTES: usize = 64;

#[derive(Default)]
struct Definition {
    category: Option<LitStr>,
    id: Option<Type>,
    event: Option<Type>,
    rejection: Option<Type>,
    snapshot: Option<Snapshots>,
    highwater: Option<Path>,
}

pub(crate) fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    if matches!(input.data, Data::Union(_)) {
        let message = "an aggregate is a struct or an enum, not a union";
        return Err(syn::Error::new(input.ident.span(), message));
    }
    let mut mistakes = Mistakes::default();
    let definition = Definition::read(&input, &mut mistakes);
    let code = definition.code(&input);
    mistakes.finish(code)
}

impl Definition {
    fn read(input: &DeriveInput, mistakes: &mut Mistakes) -> Self {
        let mut found = Self::default();
        let mut is_understood = true;
        mistakes.read(&input.attrs, "aggregate", |meta| {
            let read = found.read_key(&meta);
            is_understood &= read.is_ok();
            read
        });
        // Behind a key that wasn't understood, others may stand unread: don't call them missing.
        if is_understood {
            found.check_complete(&input.ident, mistakes);
        }
        if let Some(category) = &found.category {
            check_category(category, mistakes);
        }
        found
    }

    fn read_key(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string);
        match key.as_deref() {
            Some("category") => set_once(meta, &mut self.category),
            Some("id") => set_once(meta, &mut self.id),
            Some("event") => set_once(meta, &mut self.event),
            Some("rejection") => set_once(meta, &mut self.rejection),
            Some("snapshot") => {
                if self.snapshot.replace(Snapshots::read(meta)?).is_some() {
                    return Err(meta.error("`snapshot` is said twice; once is enough"));
                }
                Ok(())
            }
            Some("crate") => set_crate(meta, &mut self.highwater),
            _ => {
                let known = ["category", "id", "event", "rejection", "snapshot", "crate"];
                Err(unknown_key(meta, "an aggregate", &known))
            }
        }
    }

    fn check_complete(&self, aggregate: &Ident, mistakes: &mut Mistakes) {
        let category = snake_case(&aggregate.to_string());
        let wanted = [
            (self.category.is_some(), format!("category = \"{category}\"")),
            (self.id.is_some(), format!("id = {aggregate}Id")),
            (self.event.is_some(), format!("event = {aggregate}Event")),
            (self.rejection.is_some(), format!("rejection = {aggregate}Rejection")),
        ];
        let missing: Vec<_> = wanted
            .into_iter()
            .filter_map(|(is_there, example)| (!is_there).then_some(example))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "`{aggregate}` doesn't say all that an aggregate must: \
                 write `#[aggregate({})]` above it",
                missing.join(", ")
            );
            mistakes.add_at(aggregate.span(), message);
        }
    }

    fn code(&self, input: &DeriveInput) -> Option<TokenStream> {
        let Self { category, id, event, rejection, snapshot, highwater } = self;
        let (category, id) = (category.as_ref()?, id.as_ref()?);
        let (event, rejection) = (event.as_ref()?, rejection.as_ref()?);
        let highwater = highwater.clone().unwrap_or_else(default_crate);
        let aggregate = &input.ident;
        let snapshots = snapshot.iter().map(|snapshot| snapshot.code(aggregate, &highwater));
        let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
        Some(quote! {
            #[automatically_derived]
            impl #impl_generics #highwater::Aggregate for #aggregate #type_generics #where_clause {
                const CATEGORY: &'static str = #category;
                type Id = #id;
                type Event = #event;
                type Rejection = #rejection;
                #(#snapshots)*
            }
        })
    }
}

/// The rule of the core's `Category`, said before the program runs.
fn check_category(category: &LitStr, mistakes: &mut Mistakes) {
    let name = category.value();
    let problem = if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        "must start with an ASCII letter".to_owned()
    } else if let Some(odd) = name.chars().find(|&letter| !may_stand_in_category(letter)) {
        format!("may hold ASCII letters, digits, `_` and `.`, but not {odd:?}")
    } else if name.len() > MAX_CATEGORY_BYTES {
        format!("has {} characters; at most {MAX_CATEGORY_BYTES} are allowed", name.len())
    } else {
        return;
    };
    mistakes.add_at(category.span(), format!("a category {problem}"));
}

fn may_stand_in_category(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '.'
}
