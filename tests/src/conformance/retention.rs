//! The conformance suite of retention: what `Retention` promises, and what `Truncation` and the
//! archive promise on top of every store.
//!
//! [`enrol_retention!`](crate::enrol_retention) is the table of contents. A store enrols with an
//! expression that makes a fresh log; each promise is then a test of its own.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::retention::Retention;

pub mod archives;
pub mod marks;
pub mod removal;
pub mod tombstones;
pub mod truncation;

/// One log, and how to get at it. Handles share the log and nothing else.
#[async_trait]
pub trait RetentionFactory: Send + Sync {
    /// A further handle on this factory's log.
    ///
    /// # Panics
    /// If the store can't be opened: that is the test's failure.
    async fn open(&self) -> Arc<dyn Retention>;
}

/// Makes each promise of retention a test of its own: `enrol_retention!(name, fresh_log_factory)`.
#[macro_export]
macro_rules! enrol_retention {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { retention, $factory;
                marks {
                    nothing_is_marked_at_first,
                    a_stream_is_refused_below_its_mark_though_its_events_are_there,
                    a_stream_is_refused_along_the_log_before_its_mark,
                    a_stream_is_read_at_its_mark_and_above,
                    a_mark_never_falls,
                    the_log_is_refused_below_its_mark_whatever_is_selected,
                    the_log_is_read_at_its_mark_and_above,
                }
                removal {
                    only_what_is_marked_goes_and_in_steps,
                    what_is_removed_is_found_by_no_way_of_reading,
                    versions_go_on_behind_what_was_truncated,
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
                    a_tombstone_is_seen_in_the_log_and_not_in_the_stream,
                    ending_a_stream_again_answers_with_the_same_version,
                    a_stream_without_events_can_not_be_ended,
                    a_repeated_append_is_recognised_though_the_stream_has_ended,
                    an_ended_stream_stays_ended_when_all_of_it_was_removed,
                    no_acknowledged_append_stands_behind_a_tombstone,
                }
                truncation {
                    without_a_snapshot_at_the_first_event_that_stays_nothing_goes,
                    behind_a_snapshot_the_older_events_go,
                    the_newest_event_of_a_stream_stays,
                    what_a_consumer_has_not_read_stays_and_the_consumer_is_named,
                    what_nobody_archived_stays,
                    the_archive_of_another_log_does_not_count,
                    an_archive_with_a_file_of_another_history_does_not_count,
                    all_events_of_an_ended_stream_may_go_but_of_no_other,
                    a_truncation_that_was_stopped_is_ended_by_the_next,
                    the_oldest_part_of_the_log_goes_with_progress,
                }
                archives {
                    what_was_archived_comes_back_as_it_was_recorded,
                    archiving_again_writes_nothing_anew,
                    a_file_of_another_history_is_neither_passed_over_nor_overwritten,
                    files_whose_events_were_removed_still_count,
                    an_archive_that_was_stopped_is_ended_by_the_next,
                    a_restored_stream_has_its_versions_and_is_restored_once,
                    a_reader_of_the_whole_history_goes_from_the_archive_into_the_log,
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::conformance::assert_enrolled;

    #[test]
    fn every_promise_of_every_chapter_is_enrolled() {
        let chapters = [
            include_str!("retention/archives.rs"),
            include_str!("retention/marks.rs"),
            include_str!("retention/removal.rs"),
            include_str!("retention/tombstones.rs"),
            include_str!("retention/truncation.rs"),
        ];
        // What the promises are told with is generic or takes a store.
        let is_promise = |name: &str| !name.contains('<') && !name.starts_with("race_");
        assert_enrolled(include_str!("retention.rs"), &chapters, is_promise, 30);
    }
}
