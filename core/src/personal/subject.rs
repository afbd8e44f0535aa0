//! Whom personal data belongs to.

use std::fmt;
use std::sync::Arc;

use crate::TenantId;
use crate::tenant::split_tenant;

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
/// A tenant's subject carries the tenant in front, as its streams do: `@tenant/id`. Whoever works
/// within a tenant says the id alone, and the vault puts the tenant in front: equal ids of two tenants
/// are two subjects, with keys of their own, and forgetting one leaves the other.
///
/// `Debug` doesn't show it, so that it stays out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject that `id` names; `@tenant/id` is a tenant's.
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
        let bytes = self.id().len();
        let is_valid =
            (1..=MAX_SUBJECT_BYTES).contains(&bytes) && !self.0.chars().any(char::is_control);
        if is_valid { Ok(()) } else { Err(InvalidSubject { bytes }) }
    }

    /// The full name, `id` or `@tenant/id`: what a key store knows it by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id, as the domain gave it. Subjects of two tenants may have one id.
    #[must_use]
    pub fn id(&self) -> &str {
        split_tenant(&self.0).map_or(&self.0, |(_, id)| id)
    }

    /// The tenant that the subject belongs to.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        // What can be split off is valid.
        split_tenant(&self.0).and_then(|(tenant, _)| TenantId::new(tenant).ok())
    }

    /// The subject of this id that belongs to `tenant`, whoever this one belongs to.
    #[must_use]
    pub fn in_tenant(&self, tenant: &TenantId) -> Self {
        Self(format!("{}{}", tenant.prefix(), self.id()).into())
    }

    /// The subject as `tenant` means it; `None` if it names another tenant's.
    #[cfg(feature = "runtime")]
    pub(crate) fn within(&self, tenant: &TenantId) -> Option<Self> {
        match split_tenant(&self.0) {
            None => Some(self.in_tenant(tenant)),
            Some((name, _)) => (name == tenant.as_str()).then(|| self.clone()),
        }
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
        assert_eq!(Subject::new("@acme/"), Err(InvalidSubject { bytes: 0 }));
    }

    #[test]
    fn a_tenant_stands_in_front_and_nothing_else_is_taken_for_one() {
        let (acme, bolt) = (TenantId::new("acme").unwrap(), TenantId::new("bolt").unwrap());
        for id in ["c-7", "@c-7", "@c 7/x", "/", "@/x", &"x".repeat(255)] {
            let subject = Subject::new(id).unwrap();
            assert_eq!((subject.tenant(), subject.id()), (None, id));
            let of_acme = subject.in_tenant(&acme);
            assert_eq!((of_acme.tenant(), of_acme.id()), (Some(acme.clone()), id));
            assert_eq!(Subject::new(of_acme.as_str()), Ok(of_acme.clone()));
            assert_ne!(of_acme, subject.in_tenant(&bolt));
        }
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn nobody_reaches_out_of_a_tenant_by_writing_a_prefix() {
        let (acme, bolt) = (TenantId::new("acme").unwrap(), TenantId::new("bolt").unwrap());
        let subject = Subject::new("c-7").unwrap();
        let of_acme = subject.in_tenant(&acme);
        assert_eq!(subject.within(&acme).as_ref(), Some(&of_acme));
        assert_eq!(of_acme.within(&acme).as_ref(), Some(&of_acme));
        assert_eq!(of_acme.within(&bolt), None);
    }
}
