//! Where a sealed value stands: a part of its seal, so that it opens nowhere else, and whose subjects
//! it may belong to.
//!
//! A tenant and a reader of the whole log know an event by different ids. The seal names the place as
//! its tenant does: so a value opens on both sides of a tenant's wall, whichever side it was sealed on,
//! and in a message that either of them has sent. Whose it is stands in the subject's full name.

use crate::tenant::split_tenant;
use crate::{EventId, StreamId, TenantId};

/// Where a sealed value stands.
#[derive(Clone)]
pub(super) struct Context {
    /// Whose place it is: of the tenant's subjects it holds data, and of nobody else's.
    pub(super) tenant: Option<TenantId>,
    place: Place,
}

/// A place, by the names that its tenant has for it.
#[derive(Clone)]
enum Place {
    /// In the data of this event.
    Event(EventId),
    /// In a snapshot of this stream that ends with this event.
    Snapshot(StreamId, EventId),
    /// In the state beside this consumer's checkpoint.
    Consumer(String),
}

impl Context {
    /// In an event of `stream`; behind a tenant's `wall`, both by the tenant's names.
    pub(super) fn event(wall: Option<&TenantId>, stream: &StreamId, id: EventId) -> Self {
        let (tenant, id) = own_id(wall, stream, id);
        Self { tenant, place: Place::Event(id) }
    }

    /// In a snapshot of `stream` that ends with the event `last`.
    pub(super) fn snapshot(wall: Option<&TenantId>, stream: &StreamId, last: EventId) -> Self {
        let (tenant, last) = own_id(wall, stream, last);
        Self { tenant, place: Place::Snapshot(stream.without_tenant(), last) }
    }

    /// In the state beside the checkpoint of `consumer`.
    pub(super) fn consumer(wall: Option<&TenantId>, consumer: &str) -> Self {
        let (tenant, own) = match (wall, split_tenant(consumer)) {
            (Some(wall), _) => (Some(wall.clone()), consumer),
            (None, Some((tenant, own))) => (TenantId::new(tenant).ok(), own),
            (None, None) => (None, consumer),
        };
        Self { tenant, place: Place::Consumer(own.to_owned()) }
    }

    /// What is authenticated along with a value that a subject's key seals here.
    pub(super) fn seal_of(&self, subject: &str, key: u32) -> Vec<u8> {
        let key = key.to_be_bytes();
        let parts = |kind: &str, place: &str, event: &[u8]| {
            let (kind, place) = (kind.as_bytes(), place.as_bytes());
            bound(&[b"highwater personal 1", subject.as_bytes(), &key, kind, place, event])
        };
        match &self.place {
            Place::Event(id) => parts("event", "", id.as_uuid().as_bytes()),
            Place::Snapshot(stream, last) => {
                parts("snapshot", stream.as_str(), last.as_uuid().as_bytes())
            }
            Place::Consumer(name) => parts("consumer", name, &[]),
        }
    }
}

/// Whose an event is, and its id as they know it.
fn own_id(wall: Option<&TenantId>, stream: &StreamId, id: EventId) -> (Option<TenantId>, EventId) {
    match (wall, stream.tenant()) {
        (Some(wall), _) => (Some(wall.clone()), id),
        (None, Some(tenant)) => {
            let id = tenant.translated(id);
            (Some(tenant), id)
        }
        (None, None) => (None, id),
    }
}

/// Joins parts with their lengths, so that no two lists of parts give the same bytes.
pub(super) fn bound(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
