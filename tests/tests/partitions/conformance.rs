//! The suites of the log and of retention once more, on a log that adds a partition all the time.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater::retention::Retention;
use highwater_tests::conformance::log::{LogFactory, model};
use highwater_tests::conformance::retention::RetentionFactory;
use highwater_tests::services::Database;
use highwater_tests::{
    chapter_promises, enrol_durable_event_store, enrol_event_store, enrol_retention,
};

enrol_event_store!(in_partitions, LogInPartitions::of(100).await);
enrol_durable_event_store!(in_partitions_durably, LogInPartitions::of(2).await);
// Some of these promises name positions, so a gap at the end of a partition mustn't come too soon.
enrol_retention!(retention_in_partitions, LogInPartitions::of(12).await);

/// What doesn't name any, over partitions that hold less than one append.
mod retention_in_tiny_partitions {
    use super::*;

    chapter_promises! { retention, LogInPartitions::of(3).await;
        removal {
            versions_go_on_behind_what_was_truncated,
            what_is_removed_is_found_by_no_way_of_reading,
            only_what_is_marked_goes_and_in_steps,
            a_stream_that_lost_all_its_events_goes_on_behind_its_last_version,
            a_stream_that_lost_all_its_events_is_not_read_as_a_new_one,
            positions_go_on_and_the_mark_does_not_fall,
            the_newest_event_of_the_log_stays,
            removing_again_removes_nothing,
            appends_and_readers_go_on_beside_a_removal,
        }
        tombstones {
            an_ended_stream_takes_no_event_whatever_is_expected,
            an_ended_stream_costs_the_appends_beside_it_nothing,
            ending_a_stream_again_answers_with_the_same_version,
            a_repeated_append_is_recognised_though_the_stream_has_ended,
            an_ended_stream_stays_ended_when_all_of_it_was_removed,
            no_acknowledged_append_stands_behind_a_tombstone,
        }
        archives {
            what_was_archived_comes_back_as_it_was_recorded,
            a_restored_stream_has_its_versions_and_is_restored_once,
            a_reader_of_the_whole_history_goes_from_the_archive_into_the_log,
        }
    }
}

#[test]
fn a_log_in_partitions_answers_any_sequence_of_appends_as_the_memory_store_does() {
    model::check(20, async || LogInPartitions::of(4).await);
}

struct LogInPartitions {
    database: Database,
}

impl LogInPartitions {
    async fn of(events: u64) -> Self {
        let (database, store) = super::log_in_partitions_of(events).await;
        store.close().await;
        Self { database }
    }

    async fn store(&self) -> Arc<PostgresStore> {
        super::open(&self.database).await
    }
}

#[async_trait]
impl LogFactory for LogInPartitions {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.store().await
    }
}

#[async_trait]
impl RetentionFactory for LogInPartitions {
    async fn open(&self) -> Arc<dyn Retention> {
        self.store().await
    }
}
