//! How a shipment says no.

use crate::TrackingCode;

/// Why something can't have happened to a parcel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipmentRejection {
    /// The order has left in another parcel.
    #[error("the order was dispatched as {0} before; an order is one parcel")]
    DispatchedDifferently(TrackingCode),
    /// The parcel has never left.
    #[error("the order was not dispatched, so it can't have been delivered")]
    NotDispatched,
}
