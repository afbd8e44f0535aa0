//! Where a sealed value stands: a part of its seal, so that it opens nowhere else.

use crate::{EventId, StreamId};

/// Where a sealed value stands.
#[derive(Clone, Copy)]
pub(super) enum Context<'a> {
    /// In the data of this event.
    Event(EventId),
    /// In a snapshot of this stream that ends with this event.
    Snapshot(&'a StreamId, EventId),
    /// In the state beside this consumer's checkpoint.
    Consumer(&'a str),
}

impl Context<'_> {
    /// What is authenticated along with a value that a subject's key seals here.
    pub(super) fn seal_of(self, subject: &str, key: u32) -> Vec<u8> {
        let key = key.to_be_bytes();
        let parts = |kind: &str, place: &str, event: &[u8]| {
            let (kind, place) = (kind.as_bytes(), place.as_bytes());
            bound(&[b"highwater personal 1", subject.as_bytes(), &key, kind, place, event])
        };
        match self {
            Self::Event(id) => parts("event", "", id.as_uuid().as_bytes()),
            Self::Snapshot(stream, last_event) => {
                parts("snapshot", stream.as_str(), last_event.as_uuid().as_bytes())
            }
            Self::Consumer(name) => parts("consumer", name, &[]),
        }
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
