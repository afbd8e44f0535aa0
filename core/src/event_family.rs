//! What the code of `#[derive(Event)]` calls: event types of several families as one list.
//!
//! Not part of the public interface. What a family promises is said by [`Event`].

use crate::{DecodeError, Event, EventDescriptor};

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
    let mut joined = [EventDescriptor { name: "", version: 0 }; COUNT];
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

/// Why `E` reads no event of this type and version.
pub fn unknown<E: Event>(family: &'static str, event_type: &str, found: u32) -> DecodeError {
    let event_type = event_type.to_owned();
    match E::TYPES.iter().find(|known| known.name == event_type) {
        Some(EventDescriptor { version: known, .. }) => {
            DecodeError::UnknownVersion { event_type, found, known: *known }
        }
        None => DecodeError::UnknownType { event_type, family },
    }
}
