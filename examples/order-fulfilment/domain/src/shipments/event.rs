//! What happens to parcels.

use highwater::Event;

use crate::{OrderId, TrackingCode};

/// Something that happened to an order's parcel.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(schema)]
pub enum ShipmentEvent {
    /// The parcel was handed to the carrier.
    #[event(name = "shipment.dispatched")]
    Dispatched {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// What the carrier knows the parcel by.
        tracking: TrackingCode,
    },
    /// The parcel arrived.
    #[event(name = "shipment.delivered")]
    Delivered {
        /// The order.
        #[event(tag)]
        order: OrderId,
    },
}
