//! The fault suite over the shop's saga, and over a driver that breaks the rule it rests on.

use std::time::Duration;

use super::shop::{tenants_world, world};
use crate::testing::{fault_suite, fault_suite_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_step_ends_completed_or_compensated_with_each_effect_once() {
    let report = fault_suite(world).await;
    report.assert_passed();
    assert!(report.runs > 200, "only {} runs", report.runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_saga_on_the_log_of_all_passes_every_fault_as_well() {
    let report = fault_suite(tenants_world).await;
    report.assert_passed();
    assert!(report.runs > 200, "only {} runs", report.runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_calls_before_it_records_is_found_out_by_the_effects_it_leaves() {
    let break_rule = |mut manager: crate::SagaManager<_>| {
        manager.calls_before_recording = true;
        manager
    };
    let report = fault_suite_of(world, break_rule, Duration::from_millis(500)).await;
    let leaks = report.failures.iter().filter(|failure| failure.contains("after compensated"));
    assert!(leaks.count() >= 10, "{report}");
}
