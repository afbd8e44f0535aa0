//! Shipments: an order's parcel on its way.
//!
//! ```text
//!   (in the house) ──▶ dispatched ──▶ delivered     DispatchShipment, RecordDelivery
//! ```

mod command;
mod event;
mod rejection;
mod shipment;
#[cfg(test)]
mod tests;

pub use command::{DispatchShipment, RecordDelivery};
pub use event::ShipmentEvent;
pub use rejection::ShipmentRejection;
pub use shipment::Shipment;
