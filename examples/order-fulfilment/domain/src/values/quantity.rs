//! How many pieces.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_PIECES: u32 = 1_000_000;

/// Not a number of pieces that anybody orders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a whole number from 1 to {MAX_PIECES}, but this one is {0}")]
pub struct InvalidQuantity(i64);

/// A number of pieces: at least 1, at most [`Quantity::MAX`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(u32);

impl Quantity {
    /// The most pieces that one order line or one delivery can have.
    pub const MAX: u32 = MAX_PIECES;

    /// So many pieces.
    ///
    /// # Errors
    /// [`InvalidQuantity`] if that is none, less than none, or more than [`Quantity::MAX`].
    pub fn new(pieces: i64) -> Result<Self, InvalidQuantity> {
        match u32::try_from(pieces) {
            Ok(pieces @ 1..=Self::MAX) => Ok(Self(pieces)),
            _ => Err(InvalidQuantity(pieces)),
        }
    }

    /// How many pieces: 1 or more.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(pieces: i64) -> Result<Self, InvalidQuantity> {
        Self::new(pieces)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.get().into()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
