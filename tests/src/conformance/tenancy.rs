//! The conformance suite of tenancy: what `TenantStore` promises over any store.
//!
//! [`enrol_tenancy!`](crate::enrol_tenancy) is the table of contents; a store enrols with an
//! expression that makes a fresh log. That a tenant's store keeps the log's own promises is checked by
//! the log's suite, in which [`OneTenantsLog`] enrols.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{EventStore, TenantId, TenantStore};

use super::log::LogFactory;

pub mod commands;
pub mod consumers;
pub mod isolation;
pub mod messages;
pub mod refusals;
pub mod sagas;
pub mod separate_logs;
pub mod whole_log;

/// Makes each promise of tenancy a test of its own: `enrol_tenancy!(name, fresh_log_factory)`.
#[macro_export]
macro_rules! enrol_tenancy {
    ($store:ident, $factory:expr) => {
        mod $store {
            #[allow(unused_imports)]
            use super::*;

            $crate::chapter_promises! { tenancy, $factory;
                isolation {
                    streams_of_one_name_are_one_per_tenant,
                    equal_tags_of_two_tenants_never_meet,
                    a_condition_sees_no_event_of_another_tenant,
                    equal_event_ids_of_two_tenants_are_two_events,
                    every_selection_shows_one_tenants_events_only,
                    a_category_is_found_among_many_other_events_of_its_tenant,
                    tenants_whose_names_begin_alike_are_apart,
                    an_event_that_only_carries_a_tenants_tag_is_not_the_tenants,
                    snapshots_of_one_stream_name_are_one_per_tenant,
                    closing_one_tenants_store_leaves_the_others_open,
                }
                refusals {
                    a_stream_of_another_tenant_is_refused_wherever_it_is_named,
                    a_tag_that_names_a_tenant_is_refused_wherever_it_is_named,
                    metadata_that_names_another_tenant_is_refused,
                    a_tenants_store_over_a_tenants_store_takes_no_append,
                    hostile_names_stay_within_their_tenant,
                    what_is_refused_leaves_nothing,
                }
                consumers {
                    consumers_of_one_name_are_one_per_tenant,
                    a_claim_speaks_of_the_consumer_as_its_tenant_does,
                }
                messages {
                    relays_of_one_tenant_each_share_neither_key_nor_id,
                    consumers_of_one_tenant_each_share_neither_key_nor_id,
                }
                commands {
                    one_command_id_takes_effect_once_in_each_tenant,
                    one_handler_serves_many_tenants_with_few_warm_aggregates,
                    a_boundary_counts_its_own_tenant_only,
                    a_component_on_the_whole_log_answers_each_event_in_its_tenant,
                    a_handler_within_a_tenant_gets_to_no_other,
                }
                sagas {
                    a_saga_acts_for_the_tenant_whose_event_started_it,
                    an_event_of_one_tenant_cancels_no_saga_of_another,
                    a_tenant_sees_and_helps_no_saga_of_another,
                    the_sagas_of_all_tenants_go_on_after_a_restart,
                    a_tenants_saga_is_the_same_for_an_application_of_its_own,
                }
                whole_log {
                    the_whole_log_shows_whose_each_event_is,
                    the_whole_log_is_selected_by_category_over_all_tenants,
                    an_event_costs_one_tag_more,
                    a_cause_is_the_same_event_from_both_sides,
                }
            }
        }
    };
}

/// One tenant's part of a log, to enrol in the log's own suite.
pub struct OneTenantsLog<F>(pub F);

#[async_trait]
impl<F: LogFactory> LogFactory for OneTenantsLog<F> {
    async fn open(&self) -> Arc<dyn EventStore> {
        // A promise about metadata appends with this tenant.
        Arc::new(TenantStore::new(self.0.open().await, &tenant("tenant")))
    }
}

/// A tenant by its name.
#[must_use]
pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Two tenants' parts of one log, each over a handle of its own.
pub async fn two_tenants(log: &dyn LogFactory) -> (TenantStore, TenantStore) {
    let acme = TenantStore::new(log.open().await, &tenant("acme"));
    (acme, TenantStore::new(log.open().await, &tenant("bolt")))
}

#[cfg(test)]
mod tests {
    use crate::conformance::assert_enrolled;

    #[test]
    fn every_promise_of_every_chapter_is_enrolled() {
        let chapters = [
            include_str!("tenancy/commands.rs"),
            include_str!("tenancy/consumers.rs"),
            include_str!("tenancy/isolation.rs"),
            include_str!("tenancy/messages.rs"),
            include_str!("tenancy/refusals.rs"),
            include_str!("tenancy/sagas.rs"),
            include_str!("tenancy/whole_log.rs"),
        ];
        let is_promise = |_: &str| true;
        assert_enrolled(include_str!("tenancy.rs"), &chapters, is_promise, 20);
    }
}
