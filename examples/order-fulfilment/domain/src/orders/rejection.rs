//! How an order says no.

use super::order;
use crate::ProductId;

/// Why an order doesn't do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// There is such an order.
    #[error("an order of this id was placed before; choose another id")]
    AlreadyPlaced,
    /// There is no such order.
    #[error("no order of this id was placed")]
    NotPlaced,
    /// It has no line.
    #[error("nothing is ordered; an order has at least one line")]
    NothingOrdered,
    /// It has more lines than one parcel can take.
    #[error("the order has {lines} lines; at most {} are allowed", order::MAX_LINES)]
    TooManyLines {
        /// How many it has.
        lines: usize,
    },
    /// Two lines are about one product.
    #[error("{0} stands in the order twice; order it in one line")]
    ProductTwice(ProductId),
    /// Nobody can pay that.
    #[error("the order's total is more than can be counted")]
    TotalTooLarge,
    /// It is past the point of no return.
    #[error("the order is confirmed and can't be cancelled any more")]
    AlreadyConfirmed,
    /// It isn't past that point.
    #[error("the order isn't confirmed, so it can't be shipped")]
    NotConfirmed,
    /// It was called off.
    #[error("the order was cancelled")]
    Cancelled,
    /// It is on its way.
    #[error("the order was shipped")]
    Shipped,
}
