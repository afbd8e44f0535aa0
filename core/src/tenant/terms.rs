//! Between how a tenant names its things and how the log as a whole does.
//!
//! | | the tenant says | the log holds |
//! |---|---|---|
//! | stream | `order-7` | `@acme/order-7` |
//! | tag | `course:1` | `@acme/course:1` |
//! | tag of every event | | `@:acme` |
//! | event id, causation | id | id, masked by the tenant |
//! | consumer | `totals` | `@acme/totals` |
//!
//! # Why nothing of one tenant meets anything of another
//! 1. Each translation is one-to-one within a tenant, and the results of two tenants never equal each
//!    other: a prefix ends at its first `/`, which no tenant holds; masks are 74 bits of a hash. For
//!    event ids that holds where ids are random or derived. Masks are no secret: who may choose an id
//!    byte by byte, and knows one of another tenant's, can make one that equals it in the log. What they
//!    get by that is `EventIdTaken`, or that the other one does; nothing is read or written across.
//! 2. Every condition and every selection is narrowed by a tag of the tenant. Items with tags have
//!    one by their own; an item without gets the tag that all of the tenant's events carry. Not the
//!    others: a conditional append locks by a tag of each item, and this tag is everybody's.
//! 3. Whatever comes back is looked at again: an event of another stream than the tenant's is dropped.
//! 4. What already names a tenant is refused and never rewritten: nobody reaches out of a tenant by
//!    writing a prefix themselves. Only a stream may name the tenant that it is in anyway.

use crate::tenant::tenant_id::masked;
use crate::{
    Append, AppendCondition, AppendError, Appended, BareEvent, Category, EventId, InvalidAppend,
    Metadata, NewEvent, Query, QueryItem, ReadError, RecordedEvent, Selection, StreamAppend,
    StreamId, Tag, TenantId,
};

/// Something names what isn't the tenant's. It is the source of [`AppendError::Refused`] and
/// [`ReadError::Refused`](crate::ReadError::Refused).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The stream is another tenant's.
    #[error("stream {stream} isn't one of tenant {tenant}; use a store of its own tenant")]
    Stream {
        /// Whose store was asked.
        tenant: TenantId,
        /// The stream.
        stream: StreamId,
    },
    /// The tag names a tenant, which a tenant's store does by itself.
    #[error("tag {tag} names a tenant; give tenant {tenant}'s tags as the tenant knows them")]
    Tag {
        /// Whose store was asked.
        tenant: TenantId,
        /// The tag.
        tag: Tag,
    },
    /// The metadata names another tenant.
    #[error("the metadata names tenant {named:?}, but the events are appended for {tenant}")]
    Metadata {
        /// Whose store was asked.
        tenant: TenantId,
        /// What the metadata names.
        named: String,
    },
}

/// Translates for one tenant.
pub(crate) struct Terms {
    tenant: TenantId,
    tag: Tag,
    mask: u128,
    /// Only the broken variant of a test leaves tags as they are.
    pub(super) prefixes_tags: bool,
}

impl Terms {
    pub(crate) fn of(tenant: &TenantId) -> Self {
        let (tag, mask) = (tenant.tag(), tenant.mask());
        Self { tenant: tenant.clone(), tag, mask, prefixes_tags: true }
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) fn id(&self, id: EventId) -> EventId {
        masked(id, self.mask)
    }

    pub(super) fn consumer(&self, consumer: &str) -> String {
        format!("{}{consumer}", self.tenant.prefix())
    }

    pub(super) fn stream(&self, stream: &StreamId) -> Result<StreamId, TenantError> {
        match stream.tenant_name() {
            None => Ok(stream.in_tenant(&self.tenant)),
            Some(name) if name == self.tenant.as_str() => Ok(stream.clone()),
            Some(_) => {
                Err(TenantError::Stream { tenant: self.tenant.clone(), stream: stream.clone() })
            }
        }
    }

    fn tag(&self, tag: &Tag) -> Result<Tag, TenantError> {
        if tag.names_a_tenant() {
            return Err(TenantError::Tag { tenant: self.tenant.clone(), tag: tag.clone() });
        }
        Ok(if self.prefixes_tags { tag.in_tenant(&self.tenant) } else { tag.clone() })
    }

    pub(super) fn append(&self, append: Append) -> Result<Append, TenantError> {
        let (streams, condition) = append.into_parts();
        let streams = streams.into_iter().map(|part| self.part(part)).collect::<Result<_, _>>()?;
        let condition = match condition {
            Some(condition) => {
                Some(AppendCondition::new(self.query(&condition.query)?, condition.after))
            }
            None => None,
        };
        Ok(Append::from_parts(streams, condition))
    }

    fn part(&self, part: StreamAppend) -> Result<StreamAppend, TenantError> {
        let events = part.events.into_iter().map(|event| self.event(event));
        Ok(StreamAppend {
            stream: self.stream(&part.stream)?,
            expected: part.expected,
            events: events.collect::<Result<_, _>>()?,
        })
    }

    fn event(&self, event: NewEvent) -> Result<NewEvent, TenantError> {
        let mut tags = Vec::with_capacity(event.tags.len() + 1);
        tags.push(self.tag.clone());
        for tag in &event.tags {
            tags.push(self.tag(tag)?);
        }
        let id = self.id(event.id);
        Ok(NewEvent { id, tags, metadata: self.metadata(event.metadata)?, ..event })
    }

    /// The tenant isn't written into the metadata: the stream says it, and one place can't
    /// contradict itself. What the caller has put there comes back as it was.
    fn metadata(&self, mut metadata: Metadata) -> Result<Metadata, TenantError> {
        if let Some(named) = metadata.tenant.as_deref()
            && named != self.tenant.as_str()
        {
            let named = named.chars().take(80).collect();
            return Err(TenantError::Metadata { tenant: self.tenant.clone(), named });
        }
        metadata.causation = metadata.causation.map(|id| self.id(id));
        Ok(metadata)
    }

    fn query(&self, query: &Query) -> Result<Query, TenantError> {
        query.items().iter().try_fold(Query::default(), |query, item| {
            let types = item.event_types().iter().cloned();
            let mut own = QueryItem::types(types);
            for tag in item.tags() {
                own = own.and_tag(self.tag(tag)?);
            }
            Ok(query.or(if item.tags().is_empty() { own.and_tag(self.tag.clone()) } else { own }))
        })
    }

    /// The selection, and a category that its finds are still to be held against: no index holds the
    /// events of one category of one tenant.
    pub(super) fn selection<'a>(
        &self,
        selection: &'a Selection,
    ) -> Result<(Selection, Option<&'a Category>), TenantError> {
        let everything = || Selection::Query(Query::of(QueryItem::tagged([self.tag.clone()])));
        Ok(match selection {
            Selection::All => (everything(), None),
            Selection::Category(category) => (everything(), Some(category)),
            Selection::Stream(stream) => (Selection::Stream(self.stream(stream)?), None),
            Selection::Query(query) => (Selection::Query(self.query(query)?), None),
        })
    }

    /// The stream as the tenant knows it; `None` if it isn't the tenant's.
    fn own_stream(&self, stream: &StreamId) -> Option<StreamId> {
        let is_own = stream.tenant_name() == Some(self.tenant.as_str());
        is_own.then(|| stream.without_tenant())
    }

    /// The event as the tenant knows it; `None` if it isn't the tenant's.
    pub(super) fn own_event(&self, event: RecordedEvent) -> Option<RecordedEvent> {
        let stream = self.own_stream(&event.stream)?;
        let own_tag = |tag: &Tag| match tag.as_known_to(&self.tenant) {
            None if !self.prefixes_tags && !tag.names_a_tenant() => Some(tag.clone()),
            known => known,
        };
        let mut metadata = event.metadata;
        metadata.causation = metadata.causation.map(|id| self.id(id));
        Some(RecordedEvent {
            id: self.id(event.id),
            tags: event.tags.iter().filter_map(own_tag).collect(),
            stream,
            metadata,
            ..event
        })
    }

    /// The same for an event that bears nothing else of the tenant's.
    pub(super) fn own_bare_event(&self, event: BareEvent) -> Option<BareEvent> {
        Some(BareEvent { stream: self.own_stream(&event.stream)?, ..event })
    }

    /// The event as the whole log has it, from how the tenant knows it: the way back of
    /// [`Terms::own_event`].
    pub(crate) fn whole_event(&self, event: RecordedEvent) -> RecordedEvent {
        let mut metadata = event.metadata;
        metadata.causation = metadata.causation.map(|id| self.id(id));
        let tags = event.tags.iter().map(|tag| tag.in_tenant(&self.tenant));
        RecordedEvent {
            id: self.id(event.id),
            tags: std::iter::once(self.tag.clone()).chain(tags).collect(),
            stream: event.stream.in_tenant(&self.tenant),
            metadata,
            ..event
        }
    }

    pub(super) fn appended(&self, mut appended: Appended) -> Appended {
        for head in &mut appended.heads {
            head.stream = head.stream.without_tenant();
        }
        appended
    }

    pub(super) fn append_error(&self, error: AppendError) -> AppendError {
        match error {
            AppendError::VersionConflict { stream, expected, actual } => {
                AppendError::VersionConflict { stream: stream.without_tenant(), expected, actual }
            }
            AppendError::EventIdTaken { id } => AppendError::EventIdTaken { id: self.id(id) },
            AppendError::StreamTombstoned { stream } => {
                AppendError::StreamTombstoned { stream: stream.without_tenant() }
            }
            AppendError::Invalid(invalid) => AppendError::Invalid(self.invalid_append(invalid)),
            // Written out, so that a new one that names a stream or an id is not passed on as it is.
            as_it_is @ (AppendError::ConditionFailed
            | AppendError::Refused { .. }
            | AppendError::Unavailable { .. }
            | AppendError::OutcomeUnknown { .. }
            | AppendError::Closed) => as_it_is,
        }
    }

    fn invalid_append(&self, invalid: InvalidAppend) -> InvalidAppend {
        match invalid {
            InvalidAppend::StreamTwice(stream) => {
                InvalidAppend::StreamTwice(stream.without_tenant())
            }
            InvalidAppend::BehindTombstone(stream) => {
                InvalidAppend::BehindTombstone(stream.without_tenant())
            }
            InvalidAppend::EventIdTwice(id) => InvalidAppend::EventIdTwice(self.id(id)),
            InvalidAppend::UnsealedPersonalData { event } => {
                InvalidAppend::UnsealedPersonalData { event: self.id(event) }
            }
            InvalidAppend::ReservedKey { event, key } => {
                InvalidAppend::ReservedKey { event: self.id(event), key }
            }
            InvalidAppend::SubjectForgotten { event } => {
                InvalidAppend::SubjectForgotten { event: self.id(event) }
            }
            as_it_is @ (InvalidAppend::Empty
            | InvalidAppend::TooManyEvents { .. }
            | InvalidAppend::TooLarge { .. }) => as_it_is,
        }
    }

    pub(super) fn read_error(&self, error: ReadError) -> ReadError {
        match error {
            ReadError::StreamTruncated { stream, after, removed_to } => {
                ReadError::StreamTruncated { stream: stream.without_tenant(), after, removed_to }
            }
            as_it_is @ (ReadError::Unavailable { .. }
            | ReadError::Refused { .. }
            | ReadError::LogTruncated { .. }
            | ReadError::Corrupt { .. }) => as_it_is,
        }
    }
}
