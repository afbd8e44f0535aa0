//! The contracts of Highwater.
//!
//! This crate owns what every other room agrees on: events and their envelope, aggregates and
//! commands, the log ([`EventStore`]) and what it promises, the append pipeline that the SQL stores
//! share, the bus, and the runtime that hosts it all. It knows no database and no broker.
//!
//! Without the feature `runtime` only the pure part is compiled: a domain crate needs neither tokio
//! nor any I/O.

extern crate self as highwater_core;

// The domain's vocabulary: pure, synchronous.
mod aggregate;
mod command;
mod decision;
mod decoded;
mod event;
mod event_family;
mod idempotency_key;
mod identifier;

// The log's vocabulary.
mod append;
mod append_condition;
mod append_error;
mod bare_event;
mod boundary;
mod expected_version;
mod global_position;
mod metadata;
mod new_event;
mod payload;
mod personal;
mod raw_event;
mod recorded_event;
mod selection;
mod snapshot_policy;
mod stream_id;
mod stream_version;
mod tag;
mod tenant;

pub use aggregate::{Aggregate, Decide, Evolve, stream_of};
pub use append::{Append, Appended, InvalidAppend, StreamAppend, StreamHead, TOMBSTONE_TYPE};
pub use append_condition::AppendCondition;
pub use append_error::AppendError;
pub use bare_event::BareEvent;
pub use boundary::{BoundaryEvent, DecisionModel, DecisionModels, EventQuery, UnfiledEvent};
pub use command::Command;
pub use decision::{Decision, DecisionContext, emit, emit_all, nothing, reject};
pub use decoded::{Decoded, DecodedEvents, Upcasted};
pub use event::{DecodeError, EncodeError, Event, EventDescriptor, FormerType, UnknownEvents};
pub use expected_version::ExpectedVersion;
pub use global_position::GlobalPosition;
pub use identifier::{CommandId, CorrelationId, EventId};
pub use metadata::Metadata;
pub use new_event::{EventType, NewEvent};
pub use payload::{InvalidPayload, Payload};
pub use personal::{InvalidSubject, NotSealed, Personal, PersonalData, Subject};
pub use raw_event::RawEvent;
pub use recorded_event::RecordedEvent;
pub use selection::{Query, QueryItem, Selection};
pub use snapshot_policy::{SnapshotPolicy, SnapshotState, StateSchema};
pub use stream_id::{Category, InvalidStreamId, StreamId};
pub use stream_version::StreamVersion;
pub use tag::{InvalidTag, Tag};
pub use tenant::{InvalidTenantId, TenantId};

#[cfg(feature = "macros")]
pub use highwater_macros::{Aggregate, Command, Event};

// What runs: the log's contract, commands, the bus, the runtime.
#[cfg(feature = "runtime")]
mod append_pipeline;
#[cfg(feature = "runtime")]
pub mod bus;
#[cfg(feature = "runtime")]
mod clock;
#[cfg(feature = "runtime")]
mod command_error;
#[cfg(feature = "runtime")]
mod command_handler;
#[cfg(feature = "runtime")]
pub mod retention;
#[cfg(feature = "runtime")]
mod retry_pauses;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(feature = "runtime")]
mod shared_error;
#[cfg(feature = "runtime")]
mod store;

#[cfg(feature = "runtime")]
pub use append_pipeline::{AppendPipeline, BatchError, BatchWriter, PipelineLimits};
#[cfg(feature = "runtime")]
pub use boundary::{
    AppendWithinError, Boundaries, Boundary, BoundaryError, BoundaryReceipt, LoadBoundaryError,
};
#[cfg(feature = "runtime")]
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "runtime")]
pub use command_error::CommandError;
#[cfg(feature = "runtime")]
pub use command_handler::{At, CommandHandler, CommandReceipt, Loaded, SnapshotCounts, WarmSince};
#[cfg(feature = "runtime")]
pub use personal::{
    ForgetError, InvalidMasterKey, KeyError, KeyName, KeyState, KeyStore, KeyStoreError,
    KeyWrapper, MaskedPublisher, MasterKeys, MemoryKeyStore, NodeError, OpenError, SealError,
    SealedLog, SecretKey, StoredKey, Vault, WrapError, WrappedKey,
};
#[cfg(feature = "runtime")]
pub use runtime::{
    CaughtUpError, Component, ComponentContext, ComponentError, ComponentHealth, Health, Highwater,
    HighwaterBuilder, Progress, Standby, StartError,
};
#[cfg(feature = "runtime")]
pub use store::{
    AppendSignal, CheckpointError, CheckpointStore, Claim, EventStore, LogEvent, MemoryStore, Page,
    ReadError, Snapshot, SnapshotError, SnapshotStore, Standing, StoreLayer, Subscription,
    position_at,
};
#[cfg(feature = "runtime")]
pub use tenant::{TenantError, TenantHandle, TenantStore};

#[cfg(feature = "schema")]
pub mod schema;

#[cfg(feature = "testing")]
pub mod testing;

/// What generated code refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::boundary::named;
    pub use crate::event_family::{
        count_former, count_types, has_type, is_former_unambiguous, is_read, is_unambiguous,
        join_former, join_types, read, unread, upcasted,
    };
    pub use crate::idempotency_key::IdempotencyKey;
    #[cfg(feature = "schema")]
    pub use schemars;
    pub use serde;
    pub use serde_json;
    pub use std::{default, fmt, option, result, string, vec};
}
