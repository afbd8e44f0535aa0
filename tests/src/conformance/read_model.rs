//! The conformance suite of read models: what `ReadModel` promises, and the runner on top of it.
//!
//! [`enrol_read_model!`](crate::enrol_read_model) is the table of contents. A database enrols with an
//! expression that makes a fresh read model of the projection [`Tally`](given::Tally). The log is in
//! memory: what is on trial is the other side. That each check can fail is shown by
//! [`MemoryReadModel`](memory::MemoryReadModel) with a [`Flaw`](memory::Flaw).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use highwater::projections::ReadModel;

pub mod claims;
pub mod failing;
pub mod given;
pub mod memory;
pub mod pages;
pub mod running;

/// One read model of [`Tally`](given::Tally), and how to get at it.
#[async_trait]
pub trait ReadModelFactory: Send + Sync {
    /// A further handle on this factory's read model, as another process would have.
    ///
    /// # Panics
    /// If the database can't be reached: that is the test's failure.
    async fn open(&self) -> Arc<dyn ReadModel>;

    /// What the read model shows to those who read it. Called after a claim.
    ///
    /// # Panics
    /// As `open`.
    async fn shown(&self) -> Shown;
}

/// What the read model of [`Tally`](given::Tally) shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The position of every event that was counted, in the order of counting.
    pub journal: Vec<u64>,
    /// How much was counted for each key.
    pub counts: BTreeMap<String, i64>,
}

/// Makes each promise of a read model a test of its own: `enrol_read_model!(name, fresh_factory)`.
#[macro_export]
macro_rules! enrol_read_model {
    ($read_model:ident, $factory:expr) => {
        mod $read_model {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { read_model, $factory;
                claims {
                    the_first_claim_starts_before_the_first_event,
                    a_claim_raises_the_epoch_and_goes_on_where_the_last_page_ended,
                    preparing_again_keeps_what_is_there,
                    processes_that_start_at_the_same_moment_end_up_with_one_holder,
                    the_standing_tells_epoch_and_position_and_changes_nothing,
                }
                pages {
                    a_page_has_its_effects_and_moves_the_checkpoint,
                    a_page_without_events_moves_the_checkpoint,
                    a_page_applied_again_changes_nothing,
                    a_page_behind_a_hole_changes_nothing,
                    a_former_claimants_page_changes_nothing,
                    a_former_claimants_page_is_refused_after_the_successor_wrote_it_too,
                    a_claim_in_the_middle_of_a_page_sees_all_of_it_or_fences_it,
                    a_page_dropped_at_any_await_is_whole_or_absent,
                }
                failing {
                    an_event_that_cannot_be_projected_leaves_nothing_of_its_page,
                    an_event_that_cannot_be_read_leaves_nothing_of_its_page,
                    a_runner_stops_in_front_of_a_broken_event_and_names_it,
                    a_runner_starts_again_after_the_database_was_away,
                }
                running {
                    a_second_run_counts_nothing_twice,
                    a_runner_catches_up_and_then_follows,
                    a_runner_that_reads_few_events_still_reports_the_head,
                    a_runner_dropped_at_any_await_loses_and_doubles_nothing,
                    a_lost_acknowledgement_counts_nothing_twice,
                    runners_that_race_count_each_event_once_and_all_report_the_head,
                    a_runner_that_stands_by_takes_over_from_a_dead_leader,
                    a_runner_stops_at_shutdown_with_its_last_page_whole,
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
            include_str!("read_model/claims.rs"),
            include_str!("read_model/failing.rs"),
            include_str!("read_model/pages.rs"),
            include_str!("read_model/running.rs"),
        ];
        let is_promise = |_: &str| true;
        assert_enrolled(include_str!("read_model.rs"), &chapters, is_promise, 0);
    }
}
