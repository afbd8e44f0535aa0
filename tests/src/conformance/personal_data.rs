//! The conformance suite of personal data: what `KeyStore` promises, and what a vault makes of it on
//! a real store.
//!
//! [`enrol_personal_data!`](crate::enrol_personal_data) is the table of contents. A store enrols with
//! an expression that makes a fresh log with its keys; each promise is then a `#[tokio::test]` on a
//! log of its own. That the race for a first key can fail is shown by a store that doesn't look
//! whether somebody was first.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{EventStore, KeyStore};

pub mod application;
pub mod dumps;
pub mod given;
pub mod keys;
pub mod tenants;

/// A log and the keys beside it, and how to get at them.
#[async_trait]
pub trait PersonalDataFactory: Send + Sync {
    /// A further handle, as another process has one. A store in memory has one only.
    ///
    /// # Panics
    /// If the store can't be opened: that is the test's failure.
    async fn open(&self) -> (Arc<dyn EventStore>, Arc<dyn KeyStore>);

    /// All that is stored, as somebody gets it who copies the database.
    ///
    /// # Panics
    /// If it can't be copied: that is the test's failure.
    async fn dump(&self) -> Vec<u8>;
}

/// Makes each promise a test of its own: `enrol_personal_data!(name, fresh_factory)`.
#[macro_export]
macro_rules! enrol_personal_data {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { personal_data, $factory;
                keys {
                    a_subject_has_no_key_until_one_is_added,
                    keys_are_numbered_without_gaps,
                    the_newest_key_and_every_older_one_are_found,
                    answers_come_in_the_order_of_the_questions,
                    of_many_first_keys_one_is_kept_and_everybody_gets_it,
                    of_many_next_keys_one_is_kept_and_everybody_gets_it,
                    many_subjects_at_once_wait_for_each_other_in_one_direction_only,
                    a_forgotten_subject_has_no_key_and_never_gets_one,
                    a_subject_without_keys_can_be_forgotten_and_twice_is_as_good_as_once,
                    of_keys_added_while_their_subject_is_forgotten_none_is_left,
                    a_key_is_wrapped_anew_only_if_nobody_changed_it,
                    keys_that_another_master_wraps_are_listed_page_by_page,
                    hostile_subjects_are_kept_apart,
                }
                application {
                    what_many_processes_seal_with_the_first_key_everybody_opens,
                    a_forgotten_subjects_aggregate_still_loads_and_decides,
                    a_warm_aggregate_forgets_with_its_subject,
                    another_process_decides_on_what_was_forgotten_no_longer_than_its_keys_live,
                    a_saga_goes_on_when_the_subject_in_its_state_is_forgotten,
                    a_saga_holds_what_another_process_forgot_no_longer_than_keys_live,
                    a_projection_sees_opened_data_and_a_relay_sealed_data,
                    without_a_vault_personal_data_is_refused,
                    without_a_vault_no_state_is_kept_unsealed,
                }
                tenants {
                    forgetting_a_subject_for_one_tenant_leaves_the_others_readable,
                    the_key_of_one_tenant_never_opens_the_data_of_another,
                    a_tenant_names_no_other_tenants_subject,
                    an_application_for_one_tenant_shares_its_subjects_with_the_one_for_all,
                    what_a_component_keeps_of_all_tenants_goes_with_each_ones_own_subjects,
                }
                dumps {
                    nothing_in_a_dump_tells_what_is_sealed_or_a_key,
                    a_dump_from_after_forgetting_opens_with_no_master_key,
                    a_dump_from_before_opens_with_the_master_key_until_that_is_replaced,
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
            include_str!("personal_data/application.rs"),
            include_str!("personal_data/dumps.rs"),
            include_str!("personal_data/keys.rs"),
            include_str!("personal_data/tenants.rs"),
        ];
        // What a promise is told with stands beside it.
        let is_promise = |name: &str| name != "race_for_the_first_key_is_won_by_one";
        assert_enrolled(include_str!("personal_data.rs"), &chapters, is_promise, 20);
    }
}
