//! The conformance suite of the log: what `EventStore` and `CheckpointStore` promise.
//!
//! [`enrol_event_store!`](crate::enrol_event_store) is the table of contents. A store enrols with
//! an expression that makes a fresh log; each promise is then a `#[tokio::test]` on a log of its
//! own. A store that outlives its process enrols in
//! [`enrol_durable_event_store!`](crate::enrol_durable_event_store) as well.
//!
//! Every promise that is about concurrency runs over several handles of one log, as several
//! processes would. That a check can fail at all is shown by [`race`] and `NaiveStore`.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::EventStore;

pub mod atomicity;
pub mod boundaries;
pub mod checkpoints;
pub mod closing;
pub mod conditions;
pub mod durability;
pub mod envelopes;
pub mod expectations;
pub mod given;
pub mod hostile_input;
pub mod model;
pub mod oracle;
pub mod order;
pub mod race;
pub mod reading;
pub mod repetition;
pub mod selections;
pub mod signals;
pub mod versions;

/// One log, and how to get at it.
///
/// Handles share the log and nothing else, as processes share a database. A log in memory can't do
/// that: its handles are one and the same store.
#[async_trait]
pub trait LogFactory: Send + Sync {
    /// A further handle on this factory's log.
    ///
    /// # Panics
    /// If the store can't be opened: that is the test's failure.
    async fn open(&self) -> Arc<dyn EventStore>;
}

/// Makes each promise of the log a test of its own: `enrol_event_store!(name, fresh_log_factory)`.
#[macro_export]
macro_rules! enrol_event_store {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { log, $factory;
                order {
                    no_reader_misses_an_event_however_many_append,
                    positions_rise_in_the_order_of_the_appends_of_one_caller,
                    nothing_appears_at_or_below_a_high_water_mark_that_was_seen,
                    the_high_water_mark_of_an_empty_log_is_the_start,
                }
                versions {
                    the_first_event_of_a_stream_has_version_one,
                    versions_go_on_without_gaps_from_append_to_append,
                    the_answer_names_the_new_heads_and_the_last_position,
                    each_stream_counts_for_itself,
                    concurrent_appends_to_one_stream_leave_no_gap,
                    a_failed_append_leaves_no_gap_in_the_versions,
                }
                expectations {
                    any_version_accepts_every_stream,
                    no_stream_accepts_only_a_new_stream,
                    stream_exists_accepts_only_a_stream_with_events,
                    an_exact_version_accepts_only_that_version,
                    a_conflict_names_the_stream_the_expected_and_the_actual_version,
                    a_conflict_appends_nothing,
                    of_many_appends_that_expect_the_same_version_one_succeeds,
                    a_conflict_costs_the_appends_beside_it_nothing,
                    an_append_that_accepts_any_version_is_never_starved,
                }
                atomicity {
                    an_append_to_several_streams_succeeds_as_one,
                    one_stream_that_conflicts_keeps_all_the_others_unchanged,
                    no_reader_sees_half_an_append,
                    an_append_that_was_dropped_in_flight_is_whole_or_absent,
                }
                repetition {
                    a_repeated_append_answers_as_the_first_one_and_appends_nothing,
                    a_repetition_is_recognised_when_the_stream_has_moved_on,
                    a_repeated_conditional_append_does_not_fail_on_its_own_events,
                    an_append_repeated_at_the_same_moment_is_appended_once,
                    an_event_id_in_another_stream_is_taken,
                    an_append_that_is_partly_in_the_log_appends_nothing,
                    a_taken_event_id_costs_the_appends_beside_it_nothing,
                    an_event_id_is_called_taken_only_of_what_is_committed,
                }
                conditions {
                    a_match_behind_the_position_fails_the_append,
                    a_match_at_or_before_the_position_does_not_fail_it,
                    types_are_alternatives_tags_are_all_needed_items_are_alternatives,
                    a_query_without_items_never_fails_an_append,
                    an_item_that_names_nothing_matches_every_event,
                    a_condition_and_an_expected_version_must_both_hold,
                    the_events_of_the_append_itself_do_not_count,
                    of_many_appends_on_the_same_decision_one_succeeds,
                    nobody_is_put_behind_a_match_that_came_at_the_same_moment,
                    appends_with_disjoint_conditions_do_not_fail_each_other,
                    a_query_with_many_items_is_answered,
                }
                boundaries {
                    a_course_takes_no_more_students_than_seats_and_a_student_no_more_courses_than_allowed,
                    of_a_crowd_nobody_passes_a_limit_and_every_refusal_is_true,
                    of_a_crowd_that_wants_one_course_exactly_as_many_as_seats_are_subscribed,
                    a_student_who_subscribes_everywhere_at_once_takes_exactly_the_allowed_number,
                    a_name_is_taken_until_its_owner_releases_it,
                    of_a_crowd_one_gets_the_name_and_one_again_when_it_is_released,
                    invoices_are_numbered_from_one_in_each_series,
                    of_a_crowd_everybody_gets_an_invoice_number_and_no_number_is_left_out,
                    a_token_is_valid_once_and_only_until_the_next_is_sent,
                    of_a_crowd_with_one_token_one_confirms,
                    a_price_that_was_shown_is_taken_within_its_grace,
                    of_a_crowd_nobody_orders_at_the_old_price_behind_a_change_without_grace,
                    a_token_places_one_order,
                    of_a_crowd_with_few_tokens_one_order_is_placed_for_each,
                    of_a_crowd_that_repeats_few_commands_each_takes_effect_once,
                    no_append_stands_behind_a_match_that_its_decision_had_not_read,
                }
                reading {
                    an_event_comes_back_as_it_was_appended,
                    json_text_comes_back_byte_for_byte,
                    a_stream_is_read_in_order_behind_a_version,
                    a_stream_that_does_not_exist_has_no_events,
                    the_log_is_read_page_by_page_without_loss_or_repetition,
                    a_full_page_ends_at_its_last_event_and_a_short_one_at_the_head,
                    a_page_behind_the_head_is_empty_and_does_not_move_back,
                    a_page_of_no_events_moves_nowhere,
                    found_events_come_in_order_and_unknown_ids_are_left_out,
                    all_ways_to_read_an_event_agree,
                    an_answer_tells_when_its_events_were_recorded,
                    a_bare_event_is_the_whole_one_without_its_envelope,
                }
                selections {
                    a_category_is_told_from_those_it_begins_like,
                    a_stream_selection_reads_that_stream_only,
                    types_select_any_of_them,
                    tags_select_only_events_that_carry_all_of_them,
                    items_of_a_query_are_alternatives_and_no_event_comes_twice,
                    a_query_without_items_selects_nothing,
                    a_reader_of_few_events_still_moves_to_the_head,
                    selected_pages_go_on_where_the_last_one_ended,
                }
                checkpoints {
                    the_first_claim_starts_before_the_first_event,
                    a_claim_raises_the_epoch_and_returns_what_was_stored,
                    a_former_claimant_is_fenced_and_changes_nothing,
                    a_claim_that_was_never_made_is_fenced,
                    a_checkpoint_never_moves_back_but_takes_the_state,
                    no_state_leaves_the_stored_one,
                    consumers_do_not_touch_each_other,
                    concurrent_claims_have_epochs_of_their_own,
                    of_all_concurrent_claimants_only_the_last_may_advance,
                    nobody_stands_where_nobody_claimed_and_looking_changes_nothing,
                    everybody_sees_who_claimed_last_and_how_far_they_came,
                    every_advance_shows_in_the_standing_and_a_refused_one_does_not,
                    the_standing_tells_whether_state_is_kept,
                }
                hostile_input {
                    an_append_without_events_is_invalid,
                    an_append_with_a_stream_or_an_id_twice_is_invalid,
                    an_append_beyond_the_limits_is_invalid,
                    the_largest_append_is_accepted,
                    hostile_names_are_kept_apart_and_come_back_as_they_are,
                    an_event_may_carry_a_tag_twice,
                    an_event_type_the_store_cannot_hold_is_refused_and_costs_others_nothing,
                    numbers_beyond_what_a_database_counts_are_harmless,
                }
                closing {
                    a_closed_store_takes_no_append,
                    closing_waits_for_the_appends_in_flight,
                    closing_twice_is_harmless,
                }
                signals {
                    an_append_wakes_a_reader_that_waits,
                    a_reader_that_no_signal_reaches_sees_everything,
                }
            }
        }
    };
}

/// Makes each promise about what outlives a process a test of its own.
#[macro_export]
macro_rules! enrol_durable_event_store {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { log, $factory;
                durability {
                    what_was_acknowledged_is_there_when_the_log_is_opened_again,
                    positions_and_versions_go_on_when_the_log_is_opened_again,
                    an_append_repeated_in_another_process_is_recognised,
                    checkpoints_and_their_epochs_outlive_their_store,
                    closing_one_handle_leaves_the_others_open,
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
            include_str!("log/atomicity.rs"),
            include_str!("log/boundaries/course_subscriptions.rs"),
            include_str!("log/boundaries/dynamic_prices.rs"),
            include_str!("log/boundaries/idempotency_tokens.rs"),
            include_str!("log/boundaries/invoice_numbers.rs"),
            include_str!("log/boundaries/opt_in_tokens.rs"),
            include_str!("log/boundaries/random_decisions.rs"),
            include_str!("log/boundaries/unique_usernames.rs"),
            include_str!("log/checkpoints.rs"),
            include_str!("log/closing.rs"),
            include_str!("log/conditions.rs"),
            include_str!("log/durability.rs"),
            include_str!("log/expectations.rs"),
            include_str!("log/hostile_input.rs"),
            include_str!("log/order.rs"),
            include_str!("log/reading.rs"),
            include_str!("log/repetition.rs"),
            include_str!("log/selections.rs"),
            include_str!("log/signals.rs"),
            include_str!("log/versions.rs"),
        ];
        // What a promise is told with stands beside it and has a plan of its own.
        let is_promise = |name: &str| name != "decide_at_random";
        assert_enrolled(include_str!("log.rs"), &chapters, is_promise, 60);
    }
}
