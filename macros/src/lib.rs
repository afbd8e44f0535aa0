//! Derive macros of Highwater: what makes a domain crate small.
//!
//! This crate owns how a type becomes an event family, a command or an aggregate, and what the
//! compiler says when it can't. What the traits promise is written where they are, in the core;
//! users take both from the facade.

mod aggregate;
mod attribute;
mod command;
mod event;
mod snapshot;
mod suggestion;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum a family of events: each variant is one event type.
///
/// A variant's fields are the event's data, written as one JSON object; a unit variant is `{}`. A
/// variant around one struct has that struct's JSON as its data.
///
/// ```
/// use highwater::{Event, Payload};
///
/// #[derive(Event, Clone, Debug, PartialEq)]
/// enum OrderEvent {
///     #[event(name = "order.placed")]
///     Placed {
///         #[event(tag)]
///         customer: String,
///         amount_cents: u64,
///     },
///     #[event(name = "order.cancelled")]
///     Cancelled,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let placed = OrderEvent::Placed { customer: "ada".to_owned(), amount_cents: 1_200 };
/// let data = placed.encode()?;
/// assert_eq!(data.as_json(), r#"{"customer":"ada","amount_cents":1200}"#);
/// assert_eq!(OrderEvent::decode("order.placed", 1, &data)?.into_one(), Some(placed.clone()));
/// assert_eq!(placed.tags()?[0].as_str(), "customer:ada");
/// # Ok(())
/// # }
/// ```
///
/// # On a variant
/// - `name = "order.placed"` (required): the name that is stored with the event. It stays for
///   ever, so it isn't taken from the variant, which may be renamed.
/// - `version = 2`: the schema version that is written today; 1 if left out.
/// - `upcast(from = 1, with = placed_v1_to_v2)`: how an older version is read: the function takes
///   its shape, which can be anything that is deserialised, and returns the shape of the next
///   version; the last one of the chain returns today's event. Every older version needs one.
/// - `upcast(from = 1, with = split, into("order.placed", "payment.requested"))`: ends the chain
///   there, in events of the types that are listed.
/// - `oldest = 2`: no log holds a version below, so they need no upcast.
/// - `renamed_from = "order.created"`: a name that the type had before, in the same versions. May be
///   said of several.
/// - `family`: the variant wraps another event family and stands for all of its event types. What
///   becomes of a newer version of one of them is said there (`unknown`), not here.
/// - `raw`: the variant wraps a `RawEvent` and gets every event of a type, or of a newer version,
///   that the family doesn't know.
///
/// # On a field
/// - `tag` or `tag = "name"`: tags the event with the field's `Display` text, under the field's
///   name or the given one.
/// - `personal`: the field's type must seal what is in it, as `Personal<T>` does.
/// - `#[serde(…)]` works as it does in a struct: `rename`, `default`, `with` and so on. On a
///   variant, `rename_all` and `deny_unknown_fields` are obeyed, on the enum `rename_all_fields` and
///   `deny_unknown_fields`. The enum itself needs no serde derive.
/// - The struct in `Placed(OrderPlaced)` is written and read as its own serde attributes say; those
///   on the variant are not about it.
/// - A field is written through a reference, so a generic function for `skip_serializing_if` or
///   `serialize_with` takes `&T` for its type: name it, as in `"is_default::<u32>"`.
///
/// # Old shapes
/// ```
/// use highwater::{Event, Payload};
/// use serde::Deserialize;
///
/// #[derive(Event, Debug, PartialEq)]
/// #[event(dropped("price.shown"))]
/// enum PriceEvent {
///     #[event(name = "price.set", version = 3, renamed_from = "price.changed")]
///     #[event(upcast(from = 1, with = set_v1_to_v2), upcast(from = 2, with = set_v2_to_v3))]
///     Set { cents: u64, currency: String },
/// }
///
/// #[derive(Deserialize)]
/// struct SetV1 {
///     euros: u64,
/// }
///
/// #[derive(Deserialize)]
/// struct SetV2 {
///     euro_cents: u64,
/// }
///
/// fn set_v1_to_v2(old: SetV1) -> SetV2 {
///     SetV2 { euro_cents: old.euros * 100 }
/// }
///
/// fn set_v2_to_v3(old: SetV2) -> PriceEvent {
///     PriceEvent::Set { cents: old.euro_cents, currency: "EUR".to_owned() }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stored = Payload::from_json(r#"{"euros": 12}"#.to_owned())?;
/// assert_eq!(
///     PriceEvent::decode("price.changed", 1, &stored)?.into_one(),
///     Some(PriceEvent::Set { cents: 1_200, currency: "EUR".to_owned() }),
/// );
/// assert!(PriceEvent::decode("price.shown", 1, &stored)?.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Several families in one
/// A read model that follows orders and payments names both, and neither domain crate knows it. An
/// event type that occurs in two of the families is a compile error.
///
/// ```
/// use highwater::Event;
/// # #[derive(Event)] enum OrderEvent { #[event(name = "order.placed")] Placed }
/// # #[derive(Event)] enum PaymentEvent { #[event(name = "payment.charged")] Charged }
///
/// #[derive(Event)]
/// enum Seen {
///     #[event(family)]
///     Order(OrderEvent),
///     #[event(family)]
///     Payment(PaymentEvent),
/// }
///
/// assert_eq!(Seen::TYPES.len(), 2);
/// assert_eq!(Seen::Payment(PaymentEvent::Charged).event_type(), "payment.charged");
/// ```
///
/// # On the enum
/// - `unknown = "skip"`: an event of a type, or of a newer version, that the family doesn't know is
///   read as nothing. Dangerous where something is decided; the default is an error.
/// - `dropped("order.viewed", …)`: event types of the past that are read as nothing.
/// - `split(name = "order.checked_out", with = split, into("order.placed", …))`: an event type of the
///   past that is read as several of today's; with `version` and `upcast(…)` if it had several.
/// - `schema`: describes the data of each event type by a JSON Schema (feature `schema`; the fields'
///   types implement `schemars::JsonSchema`, and `#[schemars(…)]` on a field is passed on).
/// - `crate = "path"`: where Highwater is found if not at `::highwater`.
#[proc_macro_derive(Event, attributes(event, serde, schemars))]
pub fn event(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), event::expand)
}

/// Makes a struct a command: an intent addressed to one aggregate.
///
/// ```
/// use highwater::{Command, CommandId};
/// # use highwater::{Aggregate, Event};
/// # #[derive(Event)] enum OrderEvent { #[event(name = "order.cancelled")] Cancelled }
/// # #[derive(Debug, thiserror::Error)] #[error("no")] struct OrderRejection;
/// # #[derive(Aggregate, Default, Clone)]
/// # #[aggregate(category = "order", id = String, event = OrderEvent, rejection = OrderRejection)]
/// # struct Order;
///
/// #[derive(Command, Clone)]
/// #[command(aggregate = Order)]
/// struct CancelOrder {
///     #[command(id)]
///     order: String,
///     #[command(idempotency_key)]
///     request: Option<CommandId>,
/// }
///
/// let command = CancelOrder { order: "o-1".to_owned(), request: None };
/// assert_eq!(command.target(), "o-1");
/// assert_eq!(command.command_id(), None);
/// ```
///
/// # On the struct
/// - `aggregate = Order` (required): the kind of aggregate that decides it.
/// - `crate = "path"`: where Highwater is found if not at `::highwater`.
///
/// # On a field
/// - `id` (exactly one): which aggregate decides it, as the aggregate's `Id`.
/// - `idempotency_key` (at most one): a `CommandId` or an `Option<CommandId>` under which a
///   repetition of the command is recognised.
#[proc_macro_derive(Command, attributes(command))]
pub fn command(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), command::expand)
}

/// Makes a type an aggregate: a consistency boundary that decides commands.
///
/// The type is the aggregate's state. It must be `Default` (the state before the first event) and
/// `Clone`; how events change it and which commands it decides is said by `Evolve` and `Decide`.
///
/// ```
/// use highwater::{Aggregate, Event};
///
/// #[derive(Event)]
/// enum OrderEvent {
///     #[event(name = "order.placed")]
///     Placed,
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the order was placed before")]
/// struct AlreadyPlaced;
///
/// #[derive(Aggregate, Default, Clone)]
/// #[aggregate(category = "order", id = String, event = OrderEvent, rejection = AlreadyPlaced)]
/// struct Order {
///     is_placed: bool,
/// }
///
/// assert_eq!(Order::CATEGORY, "order");
/// ```
///
/// # On the type (all required but the last two)
/// - `category = "order"`: the first part of its streams' names. It is stored with every event, so
///   it is never changed; it is checked at compile time.
/// - `id = OrderId`: what identifies one of them; its `Display` text is the stream's key.
/// - `event = OrderEvent`: the family of events that it evolves by.
/// - `rejection = OrderRejection`: its way of saying no, a `std::error::Error`.
/// - `snapshot(every = 100, version = 1)`: keeps the state each 100 events, so that a long history
///   needn't be read again. The state must be `Serialize` and `Deserialize`. Raise `version` whenever
///   the same events make another state: a changed field, or an `evolve` that does something else.
///   `every_bytes = 1_000_000` goes by the size of the events, with or without `every`; `keep = 2`
///   says how many are kept of each stream.
/// - `crate = "path"`: where Highwater is found if not at `::highwater`.
#[proc_macro_derive(Aggregate, attributes(aggregate))]
pub fn aggregate(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), aggregate::expand)
}

/// Hands back what `derive` writes, or what the compiler shall say instead.
fn expand(
    input: DeriveInput,
    derive: fn(DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    derive(input).unwrap_or_else(|error| error.into_compile_error()).into()
}
