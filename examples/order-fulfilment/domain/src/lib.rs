//! The business of a shop that takes orders and fulfils them.
//!
//! This crate owns the rules and nothing else: it does no I/O, reads no clock and knows no
//! database. Each module is one aggregate and can be read alone:
//!
//! - [`orders`]: what a customer wants; shipped or cancelled, never both
//! - [`inventory`]: what lies in the warehouse; never promised twice
//! - [`payments`]: what was charged for an order; given back at most once
//! - [`shipments`]: the parcel on its way
//!
//! The aggregates don't know each other. What leads from one to the next – reserve, charge,
//! confirm, ship, and undo what was done if one of them fails – is the service's saga. Whatever a
//! saga may repeat, or undo before it was done, is answered here so that it does no harm.

pub mod inventory;
pub mod orders;
pub mod payments;
pub mod shipments;
mod values;

use highwater::Event;

pub use values::{
    AddressLine, Cents, CustomerId, DeliveryAddress, InvalidAddressLine, InvalidCents,
    InvalidCustomerId, InvalidOrderId, InvalidProductId, InvalidQuantity, InvalidTrackingCode,
    OrderId, ProductId, Quantity, TrackingCode,
};

/// Everything that can happen here, for those who follow the whole story.
///
/// Every event that is about an order carries the tag `order`, whichever aggregate it is of.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(schema)]
pub enum DomainEvent {
    /// Something happened to an order.
    #[event(family)]
    Order(orders::OrderEvent),
    /// Something happened in the warehouse.
    #[event(family)]
    Stock(inventory::StockEvent),
    /// Something happened to an order's payment.
    #[event(family)]
    Payment(payments::PaymentEvent),
    /// Something happened to an order's parcel.
    #[event(family)]
    Shipment(shipments::ShipmentEvent),
}
