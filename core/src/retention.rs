//! Retention: what is archived, what may go, and what stays behind for ever.
//!
//! This module owns the contract that a store keeps ([`Retention`]) and the rules that stand before
//! it ([`Truncation`]); with the feature `archive` also the files that events are kept in
//! ([`Archive`]) and the log that is read from both ([`ArchivedLog`]). How a store removes rows is
//! the store's business.
//!
//! # Invariants
//! 1. Mark first, remove afterwards. A mark says "everything up to here may be gone" and is durable
//!    before the first event goes. Whoever reads the stream before the stream's mark, or anything
//!    before the log's, is told so, whether the events are there still or not. A process that dies in
//!    between leaves a mark and some events behind it; the same call again removes the rest.
//!    What a truncated stream lost is *not* told to readers of more than that stream, nor to
//!    conditions: see [`Truncation`], "What the rest of the log sees".
//! 2. Marks only rise, so calling again, late or twice is harmless.
//! 3. The newest event of a stream is never truncated away, and the newest of the log never
//!    removed: versions go on from it, and the high-water mark never falls.
//! 4. What is removed from the log leaves its streams' versions in their marks, so that a stream
//!    without any event left goes on behind its last version and not at 1.

#[cfg(feature = "archive")]
mod archive;
#[cfg(feature = "archive")]
mod archive_error;
#[cfg(feature = "archive")]
mod archive_format;
#[cfg(feature = "archive")]
mod archive_reader;
mod archive_scope;
#[cfg(feature = "archive")]
mod archive_writer;
#[cfg(feature = "archive")]
mod archived_log;
mod archived_part;
mod progress;
mod retention_store;
mod truncation;
mod truncation_error;

#[cfg(feature = "archive")]
pub use archive::{Archive, Restored};
#[cfg(feature = "archive")]
pub use archive_error::{ArchiveError, RestoreError};
#[cfg(feature = "archive")]
pub use archive_reader::ArchiveReader;
pub use archive_scope::{ArchiveScope, VerifiedArchive};
#[cfg(feature = "archive")]
pub use archived_log::ArchivedLog;
pub use progress::RetentionProgress;
pub use retention_store::{
    ConsumerPlace, Retention, RetentionError, StreamRetention, TombstoneError,
};
pub use truncation::Truncation;
pub use truncation_error::TruncateError;
