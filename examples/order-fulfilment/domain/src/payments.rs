//! Payments: what was charged for an order, as the payment provider reported it.
//!
//! ```text
//!   (open) ──▶ charged ──▶ refunded     RecordCharge, RecordRefund
//!     ├──────▶ declined                 RecordDecline
//!     └──────▶ void                     RecordRefund before anything was charged
//! ```
//!
//! A charge is given back at most once. A refund that comes before its charge leaves the payment
//! void: a charge that arrives later is refused, and whoever holds the money must give it back at
//! once.

mod command;
mod event;
mod payment;
mod rejection;
#[cfg(test)]
mod tests;

pub use command::{RecordCharge, RecordDecline, RecordRefund};
pub use event::PaymentEvent;
pub use payment::Payment;
pub use rejection::PaymentRejection;
