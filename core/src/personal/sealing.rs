//! Sealing every personal value of one JSON text, with keys that were fetched before.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::cipher::CannotSeal;
use super::context::Context;
use super::marker::{PERSONAL, SEALED};
use super::node::{self, MAX_DEPTH, NotANode, Plain, Sealed};
use super::{SecretKey, Subject};
use crate::TenantId;

/// The newest key of each subject, with its number; `None` for one that was forgotten.
pub(super) type NewestKeys = HashMap<Subject, Option<(u32, SecretKey)>>;

/// Why a text can't be sealed.
pub(super) enum Unsealable {
    /// This reserved key is used for something else.
    Reserved(&'static str),
    /// It holds a new value of a subject that was forgotten.
    Forgotten,
    /// It stands at a place of this tenant and belongs to a subject of another one.
    OtherTenant(TenantId),
    NoRandomness,
}

impl From<NotANode> for Unsealable {
    fn from(_: NotANode) -> Self {
        Self::Reserved(PERSONAL.key)
    }
}

impl From<CannotSeal> for Unsealable {
    fn from(_: CannotSeal) -> Self {
        Self::NoRandomness
    }
}

/// Seals texts with the keys at hand, and notes which ones it would need as well.
pub(super) struct Sealing<'a> {
    pub(super) context: &'a Context,
    /// It is a copy of what was recorded before: what belongs to a forgotten subject is left out.
    pub(super) is_copy: bool,
    pub(super) keys: &'a NewestKeys,
    /// If this isn't empty afterwards, the text is worth nothing.
    pub(super) missing: &'a mut BTreeSet<Subject>,
}

impl Sealing<'_> {
    /// The sealed text; `None` if there is nothing to seal.
    pub(super) fn seal(&mut self, json: &str) -> Result<Option<String>, Unsealable> {
        // Only a vault writes this; taken in from anywhere else it could never be opened.
        if SEALED.is_in(json) {
            return Err(Unsealable::Reserved(SEALED.key));
        }
        self.seal_within(json, 0)
    }

    fn seal_within(&mut self, json: &str, depth: usize) -> Result<Option<String>, Unsealable> {
        node::rewrite(json, &PERSONAL, |body, out| self.seal_node(body, out, depth))
    }

    fn seal_node(&mut self, body: &str, out: &mut String, depth: usize) -> Result<(), Unsealable> {
        if depth == MAX_DEPTH {
            return Err(Unsealable::Reserved(PERSONAL.key));
        }
        let Plain { subject, opened, value } = node::read(body)?;
        let owner = self.owner(&subject)?;
        let Some(value) = value else {
            write_forgotten(out, &owner);
            return Ok(());
        };
        // From the inside out: what belongs to another subject needs that one's key, too.
        let inside = self.seal_within(value.get(), depth + 1)?;
        match self.keys.get(&owner) {
            None => {
                self.missing.insert(owner);
            }
            // It was read before its subject was forgotten, and is carried along.
            Some(None) if opened || self.is_copy => write_forgotten(out, &owner),
            Some(None) => return Err(Unsealable::Forgotten),
            Some(Some((version, key))) => {
                let inside = inside.as_deref().unwrap_or(value.get());
                let seal = self.context.seal_of(owner.as_str(), *version);
                let data = BASE64_STANDARD.encode(key.seal(&seal, inside.as_bytes())?);
                let key = Some(*version);
                let data = Some(Cow::Owned(data));
                let subject = Cow::Borrowed(owner.as_str());
                node::write(out, &SEALED, &Sealed { subject, key, data, forgotten: false });
            }
        }
        Ok(())
    }

    /// Whose a value is. Within a tenant it is one of the tenant's subjects; what already names another
    /// tenant is refused and never rewritten, so that nobody seals with that one's key.
    fn owner(&self, subject: &str) -> Result<Subject, Unsealable> {
        let subject = Subject::new(subject).map_err(|_| NotANode)?;
        match &self.context.tenant {
            None => Ok(subject),
            Some(tenant) => {
                subject.within(tenant).ok_or_else(|| Unsealable::OtherTenant(tenant.clone()))
            }
        }
    }
}

fn write_forgotten(out: &mut String, owner: &Subject) {
    let subject = Cow::Borrowed(owner.as_str());
    node::write(out, &SEALED, &Sealed { subject, key: None, data: None, forgotten: true });
}
