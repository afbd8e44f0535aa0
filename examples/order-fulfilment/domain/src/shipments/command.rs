//! What can be done with a parcel.

use highwater::Command;

use super::Shipment;
use crate::{OrderId, TrackingCode};

/// The parcel is handed to the carrier.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Shipment)]
pub struct DispatchShipment {
    /// The order that is in the parcel.
    #[command(id)]
    pub order: OrderId,
    /// What the carrier knows the parcel by.
    pub tracking: TrackingCode,
}

/// The carrier has delivered the parcel.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Shipment)]
pub struct RecordDelivery {
    /// The order that was in the parcel.
    #[command(id)]
    pub order: OrderId,
}
