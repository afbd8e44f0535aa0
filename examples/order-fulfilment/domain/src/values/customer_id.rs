//! What identifies a customer.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::OrderId;

/// A text that is no ULID. It isn't repeated in the message: it may be anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a customer id is a ULID: 26 letters and digits, such as 01J9ZCWM3T5V8E0Q2R4S6XAYBD")]
pub struct InvalidCustomerId;

/// Identifies a customer. It stays readable in the log when the customer is forgotten, so it says
/// nothing about them: a ULID, never a name or an e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct CustomerId(Ulid);

impl CustomerId {
    /// Whoever placed an order in the days when orders didn't say: a customer per order.
    #[must_use]
    pub fn unknown_of(order: OrderId) -> Self {
        Self(order.as_ulid())
    }
}

impl From<Ulid> for CustomerId {
    fn from(id: Ulid) -> Self {
        Self(id)
    }
}

impl FromStr for CustomerId {
    type Err = InvalidCustomerId;

    fn from_str(text: &str) -> Result<Self, InvalidCustomerId> {
        Ulid::from_string(text).map(Self).map_err(|_| InvalidCustomerId)
    }
}

impl TryFrom<String> for CustomerId {
    type Error = InvalidCustomerId;

    fn try_from(text: String) -> Result<Self, InvalidCustomerId> {
        text.parse()
    }
}

impl From<CustomerId> for String {
    fn from(id: CustomerId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerId({})", self.0)
    }
}
