//! [`Personal`]: a value that belongs to somebody, and may be gone one day.
//!
//! How it is written: `{"$personal":{"subject":…,"value":…}}`, wherever in an event, a saga's state
//! or a snapshot it stands, so nobody keeps a list of paths. The vault replaces such a node before
//! the text is stored and puts it back when it is read, marked `"opened"`; a node without a value
//! is one whose subject was forgotten. The keys stand in `node.rs`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Subject;

/// A value that belongs to a subject, and can be read until the subject is forgotten.
///
/// It is sealed with the subject's key wherever it is stored or published, which needs a
/// [`Vault`](crate::Vault): a store without one refuses it, so nobody writes personal data in plain
/// text by mistake. Serialised by itself, to an HTTP client say, it shows the value: reveal what is
/// to be shown, and write that.
///
/// `Debug` shows neither the value nor the subject. Two are equal if value and subject's id are: the
/// domain knows nothing of tenants.
///
/// # Examples
/// ```
/// use highwater::Personal;
///
/// let address = Personal::of("customer-7", "1 Harbour Street".to_owned());
/// assert_eq!(address.reveal().map(String::as_str), Some("1 Harbour Street"));
/// assert!(!format!("{address:?}").contains("Harbour"));
/// ```
#[derive(Clone)]
pub struct Personal<T> {
    subject: Subject,
    value: Option<T>,
    /// It came out of the log: should its subject be forgotten, it may be written as forgotten.
    was_opened: bool,
}

impl<T> Personal<T> {
    /// A value that belongs to the subject that `subject` names.
    ///
    /// A name that can't be a [`Subject`] is refused when the value is written.
    #[must_use]
    pub fn of(subject: impl fmt::Display, value: T) -> Self {
        Self { subject: Subject::unchecked(subject), value: Some(value), was_opened: false }
    }

    /// What is left once the subject was forgotten. For tests of how a domain takes it.
    #[must_use]
    pub fn forgotten(subject: impl fmt::Display) -> Self {
        Self { subject: Subject::unchecked(subject), value: None, was_opened: true }
    }

    /// The value, or `None` once its subject was forgotten.
    #[must_use]
    pub fn reveal(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Takes the value out, or `None` once its subject was forgotten.
    #[must_use]
    pub fn into_revealed(self) -> Option<T> {
        self.value
    }

    /// Whom the value belongs to. Of a value that was read from a tenant's event, the subject names the
    /// tenant: it can be forgotten as it is. What the domain called it is [`Subject::id`].
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl<T: PartialEq> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        self.subject.id() == other.subject.id() && self.value == other.value
    }
}

impl<T: Eq> Eq for Personal<T> {}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.value.is_some() { "Personal(…)" } else { "Personal(forgotten)" })
    }
}

/// The node as serde sees it.
#[derive(Serialize, Deserialize)]
struct Node<B> {
    #[serde(rename = "$personal")]
    body: B,
}

#[derive(Serialize)]
struct BodyRef<'a, T> {
    subject: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    opened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: DeserializeOwned")]
struct Body<T> {
    subject: String,
    #[serde(default)]
    opened: bool,
    #[serde(default, deserialize_with = "value")]
    value: Option<T>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `null` is a value where `T` has one; only a missing value is a forgotten one. A parser's error may
/// repeat what it didn't understand, so it is dropped.
fn value<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let shaped = T::deserialize(deserializer);
    shaped.map(Some).map_err(|_| D::Error::custom("a personal value has another shape"))
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.subject.check().map_err(serde::ser::Error::custom)?;
        let body = BodyRef {
            subject: self.subject.as_str(),
            opened: self.was_opened,
            value: self.value.as_ref(),
        };
        Node { body }.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Body { subject, opened, value } = Node::deserialize(deserializer)?.body;
        let subject = Subject::new(subject).map_err(D::Error::custom)?;
        Ok(Self { subject, value, was_opened: opened })
    }
}

/// What `#[event(personal)]` asks of a field's type: that all its data is sealed.
///
/// [`Personal`] is, and options, lists and maps of it are. Implement it for a struct of your own if
/// everything in it that is personal is wrapped.
#[diagnostic::on_unimplemented(
    message = "`{Self}` would be stored in plain text",
    label = "wrap it: `Personal<{Self}>`, made by `Personal::of(&whose, value)`"
)]
pub trait PersonalData {}

impl<T> PersonalData for Personal<T> {}
impl<T: PersonalData> PersonalData for Option<T> {}
impl<T: PersonalData> PersonalData for Vec<T> {}
impl<T: PersonalData> PersonalData for Box<T> {}
impl<K, T: PersonalData> PersonalData for BTreeMap<K, T> {}
impl<K, T: PersonalData, S> PersonalData for HashMap<K, T, S> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Serialize + DeserializeOwned>(value: &Personal<T>) -> Personal<T> {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn a_value_that_is_null_is_not_a_forgotten_one() {
        let nothing = round_trip(&Personal::of("a", None::<u8>));
        assert_eq!(nothing.reveal(), Some(&None));
        let unit = round_trip(&Personal::of("a", ()));
        assert_eq!(unit.reveal(), Some(&()));
        let forgotten = round_trip(&Personal::<Option<u8>>::forgotten("a"));
        assert_eq!(forgotten.reveal(), None);
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_value_or_the_subject() {
        let secret = Personal::of("who", "where".to_owned());
        assert_eq!(format!("{secret:?}"), "Personal(…)");
        let text = serde_json::to_string(&secret).unwrap();
        let error = serde_json::from_str::<Personal<u32>>(&text).unwrap_err().to_string();
        assert!(!error.contains("where") && !error.contains("who"), "{error}");
    }

    #[test]
    fn a_subject_that_cannot_be_is_refused_when_it_is_written() {
        for id in [String::new(), "\0".into(), "x".repeat(300)] {
            assert!(serde_json::to_string(&Personal::of(id, 1)).is_err());
        }
    }

    #[test]
    fn it_can_be_read_where_serde_buffers() {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u8),
            Secret(Personal<Vec<u8>>),
        }
        let text = serde_json::to_string(&Personal::of("a", vec![1, 2])).unwrap();
        match serde_json::from_str(&text).unwrap() {
            Either::Secret(secret) => assert_eq!(secret.reveal(), Some(&vec![1, 2])),
            Either::Number(number) => panic!("{number} is no secret"),
        }
    }
}
