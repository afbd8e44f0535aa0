//! Orders: what a customer wants.
//!
//! ```text
//!            PlaceOrder          ConfirmOrder            MarkShipped
//!   (blank) ───────────▶ placed ─────────────▶ confirmed ───────────▶ shipped
//!                          │
//!                          └──▶ cancelled      CancelOrder, FailFulfilment
//! ```
//!
//! An order is shipped or cancelled, never both. [`ConfirmOrder`] is the point of no return: once
//! everything is reserved and paid for, the order can't be cancelled, so nobody packs a parcel for
//! an order that is called off meanwhile.

mod command;
mod event;
mod line;
mod order;
mod placed_v1;
mod rejection;
#[cfg(test)]
mod tests;

pub use command::{CancelOrder, ConfirmOrder, FailFulfilment, MarkShipped, PlaceOrder};
pub use event::{CancelReason, OrderEvent};
pub use line::OrderLine;
pub use order::Order;
pub use rejection::OrderRejection;
