//! `#[derive(Event)]`: reads the enum into a [`Family`], then writes the code.

mod code;
mod data;
mod definition;
mod former;
mod reading;
mod schema;
mod variant;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use definition::Family;

pub(crate) fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    Family::read(input).map(|family| code::of(&family))
}
