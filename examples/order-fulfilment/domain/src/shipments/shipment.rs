//! The rules of a shipment.

use highwater::{Aggregate, Decide, Decision, DecisionContext, Evolve, emit, ensure, nothing};

use super::{DispatchShipment, RecordDelivery, ShipmentEvent, ShipmentRejection};
use crate::{OrderId, TrackingCode};

/// The parcel of one order: how far it has come.
#[derive(Aggregate, Clone, Debug, Default, PartialEq, Eq)]
#[aggregate(
    category = "shipment",
    id = OrderId,
    event = ShipmentEvent,
    rejection = ShipmentRejection,
)]
pub struct Shipment {
    dispatched_as: Option<TrackingCode>,
    is_delivered: bool,
}

impl Decide<DispatchShipment> for Shipment {
    fn decide(&self, command: DispatchShipment, _: &DecisionContext) -> Decision<Self> {
        let DispatchShipment { order, tracking } = command;
        match &self.dispatched_as {
            None => emit(ShipmentEvent::Dispatched { order, tracking }),
            Some(before) => {
                let is_repeated = *before == tracking;
                ensure!(is_repeated, ShipmentRejection::DispatchedDifferently(before.clone()));
                nothing()
            }
        }
    }
}

impl Decide<RecordDelivery> for Shipment {
    fn decide(&self, command: RecordDelivery, _: &DecisionContext) -> Decision<Self> {
        ensure!(self.dispatched_as.is_some(), ShipmentRejection::NotDispatched);
        if self.is_delivered {
            nothing()
        } else {
            emit(ShipmentEvent::Delivered { order: command.order })
        }
    }
}

impl Evolve for Shipment {
    fn evolve(&mut self, event: &ShipmentEvent) {
        match event {
            ShipmentEvent::Dispatched { tracking, .. } => {
                self.dispatched_as = Some(tracking.clone());
            }
            ShipmentEvent::Delivered { .. } => self.is_delivered = true,
        }
    }
}
