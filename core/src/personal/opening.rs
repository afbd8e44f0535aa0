//! Opening every sealed value of one JSON text, with keys that were fetched before.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::value::RawValue;

use super::context::Context;
use super::marker::{PERSONAL, SEALED};
use super::node::{self, MAX_DEPTH, Plain, Sealed};
use super::{KeyName, NodeError, SecretKey, Subject, WrapError};

/// What is known of a key that something was sealed with.
pub(super) enum Opener {
    Key(SecretKey),
    Forgotten,
    /// The store never had it.
    Missing,
    /// It is there, but its wrapping doesn't open.
    Wrapped(Arc<WrapError>),
}

/// The keys at hand.
pub(super) type Openers = HashMap<KeyName, Opener>;

/// Opens texts with the keys at hand, and notes which ones it would need as well.
pub(super) struct Opening<'a> {
    pub(super) context: &'a Context,
    pub(super) keys: &'a Openers,
    /// If this isn't empty afterwards, the text is worth nothing.
    pub(super) missing: &'a mut BTreeSet<KeyName>,
}

impl Opening<'_> {
    /// The opened text; `None` if there is nothing to open.
    pub(super) fn open(&mut self, json: &str) -> Result<Option<String>, NodeError> {
        self.open_within(json, 0)
    }

    fn open_within(&mut self, json: &str, depth: usize) -> Result<Option<String>, NodeError> {
        node::rewrite(json, &SEALED, |body, out| self.open_node(body, out, depth))
    }

    fn open_node(&mut self, body: &str, out: &mut String, depth: usize) -> Result<(), NodeError> {
        if depth == MAX_DEPTH {
            return Err(NodeError::TooDeep);
        }
        let Sealed { subject, key, data, .. } = node::read_sealed(body)?;
        let owner = Subject::new(&subject).map_err(|_| NodeError::Malformed)?;
        let (Some(version), Some(data)) = (key, data) else {
            write_forgotten(out, subject);
            return Ok(());
        };
        let name = KeyName { subject: owner, version };
        match self.keys.get(&name) {
            None => {
                self.missing.insert(name);
            }
            Some(Opener::Forgotten) => write_forgotten(out, subject),
            Some(Opener::Missing) => return Err(NodeError::NoKey { version }),
            Some(Opener::Wrapped(source)) => {
                return Err(NodeError::Wrapped { version, source: source.clone() });
            }
            Some(Opener::Key(key)) => {
                let sealed = BASE64_STANDARD.decode(&*data).map_err(|_| NodeError::Malformed)?;
                let seal = self.context.seal_of(&subject, version);
                let not_authentic = || NodeError::NotAuthentic { version };
                let plain = key.open(&seal, &sealed).ok_or_else(not_authentic)?;
                let plain = std::str::from_utf8(&plain).map_err(|_| not_authentic())?;
                let inside = self.open_within(plain, depth + 1)?;
                if !self.missing.is_empty() {
                    return Ok(());
                }
                let value: &RawValue = serde_json::from_str(inside.as_deref().unwrap_or(plain))
                    .map_err(|_| not_authentic())?;
                node::write(out, &PERSONAL, &Plain { subject, opened: true, value: Some(value) });
            }
        }
        Ok(())
    }
}

fn write_forgotten(out: &mut String, subject: Cow<'_, str>) {
    node::write(out, &PERSONAL, &Plain { subject, opened: true, value: None });
}
