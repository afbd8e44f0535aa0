//! The fault suite over the shop's saga, and over a driver that breaks the rule it rests on.

use super::shop::world;
use crate::testing::{fault_suite, fault_suite_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_step_ends_completed_or_compensated_with_each_effect_once() {
    let report = fault_suite(world).await;
    report.assert_passed();
    assert!(report.runs > 100, "only {} runs", report.runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_calls_before_it_records_is_found_out() {
    let report = fault_suite_of(world, |mut manager| {
        manager.calls_before_recording = true;
        manager
    })
    .await;
    assert!(!report.failures.is_empty());
}
