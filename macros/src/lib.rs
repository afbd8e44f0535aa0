//! Derive macros of Highwater.
use proc_macro::TokenStream;

/// Derives `Event`.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(_: TokenStream) -> TokenStream { TokenStream::new() }
/// Derives `Command`.
#[proc_macro_derive(Command, attributes(command))]
pub fn command(_: TokenStream) -> TokenStream { TokenStream::new() }
/// Derives `Aggregate`.
#[proc_macro_derive(Aggregate, attributes(aggregate))]
pub fn aggregate(_: TokenStream) -> TokenStream { TokenStream::new() }
