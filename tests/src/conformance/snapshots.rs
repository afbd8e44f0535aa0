//! The conformance suite of snapshots: what `SnapshotStore` promises, and what commands and time
//! travel make of it on a real store.
//!
//! [`enrol_snapshots!`](crate::enrol_snapshots) is the table of contents. A store enrols with an
//! expression that makes a fresh log; each promise is then a `#[tokio::test]` on a log of its own.
//! That the checks can fail is shown by a store that keeps what was saved last.

pub mod commands;
pub mod given;
pub mod keeping;
pub mod outliving;
pub mod time_travel;

/// Makes each promise of snapshots a test of its own: `enrol_snapshots!(name, fresh_log_factory)`.
#[macro_export]
macro_rules! enrol_snapshots {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { snapshots, $factory;
                keeping {
                    what_was_saved_is_loaded_as_it_was,
                    where_nothing_was_saved_nothing_is_loaded,
                    the_newest_at_or_below_a_version_is_loaded,
                    a_state_of_another_name_or_version_is_not_loaded,
                    streams_do_not_touch_each_other,
                    an_older_snapshot_never_replaces_a_newer_one,
                    of_many_saves_at_once_the_newest_stays,
                    no_more_are_kept_than_asked_for,
                    the_same_version_again_replaces_the_snapshot,
                    a_new_schema_version_ends_the_old_ones,
                    deleting_forgets_all_of_one_stream,
                    hostile_names_and_large_states_come_back_as_they_are,
                }
                commands {
                    a_long_history_is_loaded_from_its_snapshot,
                    of_a_crowd_every_state_is_the_one_that_the_log_makes,
                    a_command_is_recognised_behind_a_snapshot_by_every_handler,
                    a_snapshot_of_what_the_log_does_not_hold_is_not_believed,
                    a_snapshot_that_can_not_be_understood_hides_none_below_it,
                }
                time_travel {
                    every_version_is_as_it_was,
                    every_position_is_as_it_was,
                    a_moment_is_as_it_was_recorded,
                }
            }
        }
    };
}

/// Makes each promise about what outlives a process a test of its own.
#[macro_export]
macro_rules! enrol_durable_snapshots {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { snapshots, $factory;
                outliving {
                    a_snapshot_is_there_when_the_log_is_opened_again,
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
            include_str!("snapshots/commands.rs"),
            include_str!("snapshots/keeping.rs"),
            include_str!("snapshots/outliving.rs"),
            include_str!("snapshots/time_travel.rs"),
        ];
        let is_promise = |_: &str| true;
        assert_enrolled(include_str!("snapshots.rs"), &chapters, is_promise, 15);
    }
}
