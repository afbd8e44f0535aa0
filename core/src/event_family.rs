//! What the code of `#[derive(Event)]` calls: event types of several families as one list, old
//! events as today's, unknown ones by the family's policy.
//!
//! Not part of the public interface. What a family promises is said by [`Event`].

use crate::{
    DecodeError, Decoded, Event, EventDescriptor, FormerType, InvalidPayload, Payload, RawEvent,
    UnknownEvents, Upcasted,
};

/// How many event types the families have together.
pub const fn count_types(families: &[&[EventDescriptor]]) -> usize {
    let mut count = 0;
    let mut family = 0;
    while family < families.len() {
        count += families[family].len();
        family += 1;
    }
    count
}

/// The event types of all families, in order; `COUNT` is [`count_types`] of them.
pub const fn join_types<const COUNT: usize>(
    families: &[&[EventDescriptor]],
) -> [EventDescriptor; COUNT] {
    let mut joined = [EventDescriptor { name: "", oldest: 0, version: 0 }; COUNT];
    let mut count = 0;
    let mut family = 0;
    while family < families.len() {
        let mut index = 0;
        while index < families[family].len() {
            joined[count] = families[family][index];
            count += 1;
            index += 1;
        }
        family += 1;
    }
    joined
}

/// Whether no name occurs twice; nobody could say whose event it is.
pub const fn is_unambiguous(types: &[EventDescriptor]) -> bool {
    let mut second = 1;
    while second < types.len() {
        let mut first = 0;
        while first < second {
            if is_same(types[first].name, types[second].name) {
                return false;
            }
            first += 1;
        }
        second += 1;
    }
    true
}

/// `==` on texts, which isn't const yet.
const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether an event of this name belongs to the family with these types.
pub const fn has_type(types: &[EventDescriptor], name: &str) -> bool {
    let mut index = 0;
    while index < types.len() {
        if is_same(types[index].name, name) {
            return true;
        }
        index += 1;
    }
    false
}

/// How many former types the families have together.
pub const fn count_former(families: &[&[FormerType]]) -> usize {
    let mut count = 0;
    let mut family = 0;
    while family < families.len() {
        count += families[family].len();
        family += 1;
    }
    count
}

/// The former types of all families, in order; `COUNT` is [`count_former`] of them.
pub const fn join_former<const COUNT: usize>(families: &[&[FormerType]]) -> [FormerType; COUNT] {
    let mut joined =
        [FormerType { name: "", oldest: 0, version: 0, now: &[], is_renamed: false }; COUNT];
    let mut count = 0;
    let mut family = 0;
    while family < families.len() {
        let mut index = 0;
        while index < families[family].len() {
            joined[count] = families[family][index];
            count += 1;
            index += 1;
        }
        family += 1;
    }
    joined
}

/// Whether events stored under this name are read by the family with these types, as some event.
pub const fn is_read(types: &[EventDescriptor], former: &[FormerType], name: &str) -> bool {
    has_type(types, name) || is_former(former, name)
}

/// Whether a program with the family `E` gets by with an event of this name and version: it reads
/// it, or its policy covers it.
#[cfg(feature = "schema")]
pub(crate) fn gets_by<E: Event>(name: &str, version: u32) -> bool {
    let today = E::TYPES.iter().map(|it| (it.name, it.oldest, it.version));
    let former = E::FORMER_TYPES.iter().map(|it| (it.name, it.oldest, it.version));
    let known: Vec<_> = today.chain(former).filter(|known| known.0 == name).collect();
    let is_newer = known.iter().all(|(_, _, newest)| version > *newest);
    let is_read = known.iter().any(|(_, oldest, newest)| (*oldest..=*newest).contains(&version));
    is_read || is_newer && E::unknown_of(name) != UnknownEvents::Fail
}

const fn is_former(former: &[FormerType], name: &str) -> bool {
    let mut index = 0;
    while index < former.len() {
        if !former[index].now.is_empty() && is_same(former[index].name, name) {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether no former name of one family is read by another, today or in the past.
pub const fn is_former_unambiguous(types: &[&[EventDescriptor]], former: &[&[FormerType]]) -> bool {
    let mut one = 0;
    while one < former.len() {
        let mut index = 0;
        while index < former[one].len() {
            let FormerType { name, now, .. } = former[one][index];
            let mut other = 0;
            while other < former.len() {
                if other != one && !now.is_empty() && is_read(types[other], former[other], name) {
                    return false;
                }
                other += 1;
            }
            index += 1;
        }
        one += 1;
    }
    true
}

/// Today's event, read in its own shape.
pub fn read<E>(
    event: Result<E, InvalidPayload>,
    event_type: &str,
    schema_version: u32,
) -> Result<Decoded<E>, DecodeError> {
    match event {
        Ok(event) => Ok(Decoded::one(event)),
        Err(source) => Err(malformed(event_type, schema_version, source)),
    }
}

/// What the last upcaster of a chain made of an old event; only what the family declares for it.
pub fn upcasted<E: Event>(
    made: Result<impl Upcasted<E>, InvalidPayload>,
    event_type: &str,
    schema_version: u32,
) -> Result<Decoded<E>, DecodeError> {
    let made = made.map_err(|source| malformed(event_type, schema_version, source))?.into_decoded();
    let is_declared = |became: &str| {
        let is_of_old = |former: &&FormerType| former.name == event_type;
        became == event_type && has_type(E::TYPES, became)
            || E::FORMER_TYPES.iter().filter(is_of_old).any(|former| former.now.contains(&became))
    };
    match made.iter().find(|event| !is_declared(event.event_type())) {
        None => Ok(made),
        Some(undeclared) => Err(DecodeError::Undeclared {
            event_type: event_type.to_owned(),
            schema_version,
            became: undeclared.event_type().to_owned(),
        }),
    }
}

#[cold]
fn malformed(event_type: &str, schema_version: u32, source: InvalidPayload) -> DecodeError {
    DecodeError::Malformed { event_type: event_type.to_owned(), schema_version, source }
}

/// What becomes of an event that no arm reads: nothing if it was dropped, else what the family's
/// policy says. `keep` is the variant for raw events.
///
/// # Errors
/// By policy; and always for a version older than the oldest that is read, since the family says
/// that there is none.
pub fn unread<E: Event>(
    family: &'static str,
    (event_type, schema_version): (&str, u32),
    data: &Payload,
    keep: Option<fn(RawEvent) -> E>,
) -> Result<Decoded<E>, DecodeError> {
    let former = E::FORMER_TYPES.iter().find(|former| former.name == event_type);
    let today = E::TYPES.iter().find(|today| today.name == event_type);
    let known = match (today, former) {
        (Some(today), _) => Some(today.version),
        (None, Some(former)) if former.now.is_empty() => return Ok(Decoded::none()),
        (None, former) => former.map(|former| former.version),
    };
    let is_newer = known.is_none_or(|known| schema_version > known);
    match (E::UNKNOWN, keep) {
        (UnknownEvents::Skip, _) if is_newer => return Ok(Decoded::none().marked_unknown()),
        (UnknownEvents::KeepRaw, Some(keep)) if is_newer => {
            let raw = keep(RawEvent::read(event_type, schema_version, data));
            return Ok(Decoded::one(raw).marked_unknown());
        }
        _ => {}
    }
    let event_type = event_type.to_owned();
    Err(match known {
        Some(known) => DecodeError::UnknownVersion { event_type, found: schema_version, known },
        None => DecodeError::UnknownType { event_type, schema_version, family },
    })
}
