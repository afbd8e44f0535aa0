//! Queries that name only events which a family can read.

use std::fmt;
use std::marker::PhantomData;

use crate::{Event, EventType, InvalidTag, Query, QueryItem, Tag};

/// A question about events of the family `E`: which of its types, with which tags.
///
/// Every item names at least one type, all of them of `E`; so whatever matches can be read as `E`,
/// and a misspelt type doesn't compile. Types are named as they are called today: the log is asked
/// for their former names too, and for events that were split into them.
///
/// ```
/// # use highwater::{Event, EventQuery, Query, event_query};
/// # #[derive(Event)]
/// # enum CourseEvent {
/// #     #[event(name = "course.opened")] Opened,
/// #     #[event(name = "course.joined")] Joined,
/// # }
/// # fn main() -> Result<(), highwater::InvalidTag> {
/// // Every event of the family about one course …
/// let of_course = EventQuery::<CourseEvent>::all().tagged("course", "rust-101")?;
/// // … or, of any course, who joined it and is called Ada.
/// let of_ada = event_query!(CourseEvent: "course.joined").tagged("student", "ada")?;
/// let query: Query = of_course.or(of_ada).into();
/// assert_eq!(query.items().len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct EventQuery<E> {
    query: Query,
    family: PhantomData<fn() -> E>,
}

impl<E: Event> EventQuery<E> {
    /// Every event of the family, whatever its tags.
    #[must_use]
    pub fn all() -> Self {
        Self::of_names(E::TYPES.iter().map(|descriptor| descriptor.name))
    }

    /// Without a name it matches nothing: an item without types would match every type there is.
    fn of_names(names: impl Iterator<Item = &'static str>) -> Self {
        let item = QueryItem::types(names.map(EventType::from_static));
        let query = if item.event_types().is_empty() { Query::default() } else { Query::of(item) };
        Self { query, family: PhantomData }
    }
}

impl<E> EventQuery<E> {
    /// Demands the tag `name:value` of every event asked for so far.
    ///
    /// # Errors
    /// [`InvalidTag`], as for [`Tag::new`].
    pub fn tagged(self, name: &str, value: impl fmt::Display) -> Result<Self, InvalidTag> {
        Ok(self.with_tag(&Tag::new(name, value)?))
    }

    /// Demands a tag of every event asked for so far.
    #[must_use]
    pub fn with_tag(mut self, tag: &Tag) -> Self {
        let items = self.query.items().iter().cloned().map(|item| item.and_tag(tag.clone()));
        self.query = items.fold(Query::default(), Query::or);
        self
    }

    /// Asks for what `other` asks for as well.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.query = other.query.items().iter().cloned().fold(self.query, Query::or);
        self
    }
}

impl<E: Event> EventQuery<E> {
    /// True if an event of this type of today, stored with these tags, is asked for.
    pub(super) fn asks_for(&self, event_type: &str, tags: &[Tag]) -> bool {
        let is_named =
            |item: &QueryItem| item.event_types().iter().any(|named| named.as_str() == event_type);
        let mut items = self.query.items().iter();
        items.any(|item| is_named(item) && item.tags().iter().all(|tag| tags.contains(tag)))
    }

    /// Whether the log is asked for other names than the query has.
    pub(super) fn reads_former_types() -> bool {
        E::FORMER_TYPES.iter().any(|former| !former.now.is_empty())
    }
}

impl<E: Event> From<EventQuery<E>> for Query {
    fn from(query: EventQuery<E>) -> Self {
        if EventQuery::<E>::reads_former_types() {
            let items = query.query.items().iter().map(with_former_names::<E>);
            return items.fold(Self::default(), Self::or);
        }
        query.query
    }
}

/// What the item asks for, under every name under which it may be stored.
fn with_former_names<E: Event>(item: &QueryItem) -> QueryItem {
    let mut names = item.event_types().to_vec();
    let is_asked = |now: &&str| item.event_types().iter().any(|asked| asked.as_str() == *now);
    for former in E::FORMER_TYPES.iter().filter(|former| former.now.iter().any(is_asked)) {
        let name = EventType::from_static(former.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    item.tags().iter().cloned().fold(QueryItem::types(names), QueryItem::and_tag)
}

impl<E> Clone for EventQuery<E> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), family: PhantomData }
    }
}

impl<E> fmt::Debug for EventQuery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventQuery").field(&self.query).finish()
    }
}

/// What [`event_query!`](crate::event_query) becomes, once the names are known to be of `E`.
pub fn named<E: Event>(names: &'static [&'static str]) -> EventQuery<E> {
    EventQuery::of_names(names.iter().copied())
}

/// An [`EventQuery`] for some types of a family, by their stored names.
///
/// ```
/// # use highwater::{Event, event_query};
/// # #[derive(Event)]
/// # enum CourseEvent {
/// #     #[event(name = "course.opened")] Opened,
/// #     #[event(name = "course.joined")] Joined,
/// # }
/// # fn main() -> Result<(), highwater::InvalidTag> {
/// let query = event_query!(CourseEvent: "course.opened", "course.joined").tagged("course", 7)?;
/// # Ok(())
/// # }
/// ```
///
/// A name that the family doesn't have is a compile error:
///
/// ```compile_fail
/// # use highwater::{Event, event_query};
/// # #[derive(Event)] enum CourseEvent { #[event(name = "course.opened")] Opened }
/// event_query!(CourseEvent: "course.opend");
/// ```
#[macro_export]
macro_rules! event_query {
    ($family:ty: $($name:literal),+ $(,)?) => {{
        const {
            $(assert!(
                $crate::__private::has_type(<$family as $crate::Event>::TYPES, $name),
                concat!("`", stringify!($family), "` has no event of the name ", $name),
            );)+
        }
        $crate::__private::named::<$family>(&[$($name),+])
    }};
}
