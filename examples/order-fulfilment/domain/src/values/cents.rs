//! Amounts of money.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quantity;

/// An amount below zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount in cents is 0 or more, but this one is {0}")]
pub struct InvalidCents(i64);

/// An amount of money in cents, never below zero. All arithmetic is checked.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Cents(i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of so many cents.
    ///
    /// # Errors
    /// [`InvalidCents`] if there are less than none.
    pub const fn new(cents: i64) -> Result<Self, InvalidCents> {
        if cents < 0 { Err(InvalidCents(cents)) } else { Ok(Self(cents)) }
    }

    /// How many cents: 0 or more.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Both amounts together, unless that is more than can be counted.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The amount `quantity` times, unless that is more than can be counted.
    #[must_use]
    pub fn checked_mul(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity.get())).map(Self)
    }
}

impl TryFrom<i64> for Cents {
    type Error = InvalidCents;

    fn try_from(cents: i64) -> Result<Self, InvalidCents> {
        Self::new(cents)
    }
}

impl From<Cents> for i64 {
    fn from(cents: Cents) -> Self {
        cents.get()
    }
}

/// As people write it: `12.05`.
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}
