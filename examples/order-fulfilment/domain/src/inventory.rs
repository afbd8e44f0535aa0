//! Inventory: what lies in the warehouse, and for whom.
//!
//! One [`StockItem`] per product. For each order it goes one way only:
//!
//! ```text
//!              ReserveStock            ShipStock
//!   (nothing) ─────────────▶ reserved ───────────▶ shipped
//!       │                       │
//!       └───────────────────────┴──▶ released      ReleaseStock
//! ```
//!
//! A release is final, even one that comes before its reservation: whoever undoes an order can't
//! know whether a reservation is still on its way, and must not be overtaken by it.

mod command;
mod event;
mod rejection;
mod stock_item;
#[cfg(test)]
mod tests;

pub use command::{ReceiveStock, ReleaseStock, ReserveStock, ShipStock};
pub use event::StockEvent;
pub use rejection::StockRejection;
pub use stock_item::StockItem;
