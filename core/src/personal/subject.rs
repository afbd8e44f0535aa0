//! Whom personal data belongs to.

use std::fmt;
use std::sync::Arc;

const MAX_SUBJECT_BYTES: usize = 255;

/// Why a text can't name a subject. The text itself stays out: it may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a subject's id must have 1 to {MAX_SUBJECT_BYTES} bytes and no control character; this one \
     has {bytes} bytes"
)]
pub struct InvalidSubject {
    /// How long it is.
    pub bytes: usize,
}

/// Whom personal data belongs to: a customer, a driver. Cheap to clone.
///
/// The id stays readable beside the sealed data, also after the subject was forgotten. So use one
/// that means nothing by itself, such as a random customer id, never a name or an e-mail address.
///
/// `Debug` doesn't show it, so that it stays out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject that `id` names.
    ///
    /// # Errors
    /// [`InvalidSubject`] if the id is empty, longer than 255 bytes or holds a control character.
    pub fn new(id: impl fmt::Display) -> Result<Self, InvalidSubject> {
        let subject = Self::unchecked(id);
        subject.check().map(|()| subject)
    }

    /// A subject that is checked when it is written.
    pub(super) fn unchecked(id: impl fmt::Display) -> Self {
        Self(id.to_string().into())
    }

    pub(super) fn check(&self) -> Result<(), InvalidSubject> {
        let bytes = self.0.len();
        let is_valid =
            (1..=MAX_SUBJECT_BYTES).contains(&bytes) && !self.0.chars().any(char::is_control);
        if is_valid { Ok(()) } else { Err(InvalidSubject { bytes }) }
    }

    /// The subject's id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_short_text_without_control_characters() {
        assert!(Subject::new("customer-ä-🦀").is_ok());
        assert!(Subject::new("x".repeat(255)).is_ok());
        for wrong in [String::new(), "x".repeat(256), "a\0b".into(), "a\nb".into()] {
            assert_eq!(Subject::new(&wrong), Err(InvalidSubject { bytes: wrong.len() }));
        }
    }
}
