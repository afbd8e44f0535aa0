//! What a stored event is read as: one event of the family nearly always, sometimes none, sometimes
//! several.

use std::{slice, vec};

use crate::Event;

/// What a stored event is read as.
///
/// One event, nearly always, and then nothing is allocated. **None** if its type was dropped, or is
/// unknown to a family that skips what it doesn't know. **Several** if an old event was split.
/// Whoever reads loops over them:
///
/// ```
/// use highwater::{Event, Payload};
///
/// #[derive(Event, Debug, PartialEq)]
/// #[event(dropped("door.admired"))]
/// enum DoorEvent {
///     #[event(name = "door.opened")]
///     Opened,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let nothing = Payload::from_json("{}".to_owned())?;
/// for event in DoorEvent::decode("door.opened", 1, &nothing)? {
///     assert_eq!(event, DoorEvent::Opened);
/// }
/// assert!(DoorEvent::decode("door.admired", 1, &nothing)?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<E> {
    kept: Kept<E>,
    is_unknown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept<E> {
    None,
    One(E),
    Several(Vec<E>),
}

impl<E> Decoded<E> {
    /// Nothing that the family wants to know of.
    #[must_use]
    pub const fn none() -> Self {
        Self::of(Kept::None)
    }

    /// One event.
    #[must_use]
    pub const fn one(event: E) -> Self {
        Self::of(Kept::One(event))
    }

    /// Any number of events, in the order in which they are to be taken.
    #[must_use]
    pub fn several(mut events: Vec<E>) -> Self {
        match events.len() {
            0 | 1 => events.pop().map_or(Self::none(), Self::one),
            _ => Self::of(Kept::Several(events)),
        }
    }

    const fn of(kept: Kept<E>) -> Self {
        Self { kept, is_unknown: false }
    }

    /// The same, of a type or version that the family doesn't know: it was skipped, or kept raw.
    #[must_use]
    pub fn marked_unknown(self) -> Self {
        Self { is_unknown: true, ..self }
    }

    /// True if the family doesn't know the stored event's type or version, so that another version of
    /// this program may read it as something else. A dropped type is known.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// The event, if it is exactly one.
    #[must_use]
    pub fn into_one(self) -> Option<E> {
        match self.kept {
            Kept::One(event) => Some(event),
            Kept::None | Kept::Several(_) => None,
        }
    }

    /// The events, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[E] {
        match &self.kept {
            Kept::None => &[],
            Kept::One(event) => slice::from_ref(event),
            Kept::Several(events) => events,
        }
    }

    /// The events, in order.
    pub fn iter(&self) -> slice::Iter<'_, E> {
        self.as_slice().iter()
    }

    /// True if there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.kept, Kept::None)
    }

    /// Each event as another, such as the variant that wraps it.
    #[must_use]
    pub fn map<T>(self, change: impl FnMut(E) -> T) -> Decoded<T> {
        let mut change = change;
        self.filter_map(|event| Some(change(event)))
    }

    /// Each event as another, or left out.
    #[must_use]
    pub fn filter_map<T>(self, mut change: impl FnMut(E) -> Option<T>) -> Decoded<T> {
        let changed = match self.kept {
            Kept::None => Decoded::none(),
            Kept::One(event) => change(event).map_or(Decoded::none(), Decoded::one),
            Kept::Several(events) => {
                Decoded::several(events.into_iter().filter_map(change).collect())
            }
        };
        Decoded { is_unknown: self.is_unknown, ..changed }
    }
}

/// The events of a [`Decoded`], in order.
#[derive(Debug)]
pub struct DecodedEvents<E>(Left<E>);

#[derive(Debug)]
enum Left<E> {
    AtMostOne(Option<E>),
    Several(vec::IntoIter<E>),
}

impl<E> Iterator for DecodedEvents<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        match &mut self.0 {
            Left::AtMostOne(event) => event.take(),
            Left::Several(events) => events.next(),
        }
    }
}

impl<E> IntoIterator for Decoded<E> {
    type Item = E;
    type IntoIter = DecodedEvents<E>;

    fn into_iter(self) -> DecodedEvents<E> {
        DecodedEvents(match self.kept {
            Kept::None => Left::AtMostOne(None),
            Kept::One(event) => Left::AtMostOne(Some(event)),
            Kept::Several(events) => Left::Several(events.into_iter()),
        })
    }
}

impl<'a, E> IntoIterator for &'a Decoded<E> {
    type Item = &'a E;
    type IntoIter = slice::Iter<'a, E>;

    fn into_iter(self) -> slice::Iter<'a, E> {
        self.iter()
    }
}

/// What the last upcaster of a chain may return: an event of the family, or an `Option`, an array
/// or a `Vec` of them.
#[diagnostic::on_unimplemented(
    message = "a chain of upcasters ends with `{E}`, not with `{Self}`",
    label = "the last upcaster returns `{E}`, `Option<{E}>`, `[{E}; N]` or `Vec<{E}>`",
    note = "an upcaster from version n returns the shape of version n + 1; the last one, today's event"
)]
pub trait Upcasted<E> {
    /// The events, as a reader gets them.
    fn into_decoded(self) -> Decoded<E>;
}

impl<E: Event> Upcasted<E> for E {
    fn into_decoded(self) -> Decoded<E> {
        Decoded::one(self)
    }
}

impl<E: Event> Upcasted<E> for Option<E> {
    fn into_decoded(self) -> Decoded<E> {
        self.map_or(Decoded::none(), Decoded::one)
    }
}

impl<E: Event> Upcasted<E> for Vec<E> {
    fn into_decoded(self) -> Decoded<E> {
        Decoded::several(self)
    }
}

impl<E: Event, const COUNT: usize> Upcasted<E> for [E; COUNT] {
    fn into_decoded(self) -> Decoded<E> {
        Decoded::several(self.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_events_in_order_however_many_there_are() {
        for count in 0..4 {
            let events: Vec<u8> = (0..count).collect();
            let decoded = Decoded::several(events.clone());
            assert_eq!(decoded.as_slice(), events);
            assert_eq!(decoded.is_empty(), count == 0);
            assert_eq!(decoded.clone().into_one(), (count == 1).then_some(0));
            assert_eq!(decoded.clone().map(u32::from).iter().count(), events.len());
            assert!(decoded.into_iter().eq(events));
        }
    }

    #[test]
    fn what_is_unknown_stays_so_when_it_is_wrapped_or_left_out() {
        for decoded in [Decoded::none(), Decoded::one(1_u8), Decoded::several(vec![1, 2])] {
            assert!(!decoded.clone().map(u32::from).is_unknown());
            assert!(decoded.clone().marked_unknown().map(u32::from).is_unknown());
            assert!(decoded.marked_unknown().filter_map(|_| None::<u8>).is_unknown());
        }
    }
}
