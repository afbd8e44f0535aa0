//! The words that all modules share. A value that exists is valid: it is checked where it enters,
//! in `new`, from text and from JSON alike.

mod cents;
mod customer_id;
mod delivery_address;
mod order_id;
mod product_id;
mod quantity;
mod tracking_code;

pub use cents::{Cents, InvalidCents};
pub use customer_id::{CustomerId, InvalidCustomerId};
pub use delivery_address::{AddressLine, DeliveryAddress, InvalidAddressLine};
pub use order_id::{InvalidOrderId, OrderId};
pub use product_id::{InvalidProductId, ProductId};
pub use quantity::{InvalidQuantity, Quantity};
pub use tracking_code::{InvalidTrackingCode, TrackingCode};

#[cfg(test)]
mod tests;
