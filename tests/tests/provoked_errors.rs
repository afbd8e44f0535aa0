//! Every error that the log, commands, boundaries and the opening of a store can answer, brought
//! about for real: by a constraint, a full disk, a cut wire, a killed server, a name of 10 kB.
//!
//! The table says which test provokes which variant. A variant without a row fails
//! [`every_variant_has_a_row_and_every_row_a_test`], and so does a row whose test is gone.
//!
//! | variant | provoked by |
//! |---|---|
//! | `AppendError::VersionConflict` | `a_conflict_names_the_stream_the_expected_and_the_actual_version` |
//! | `AppendError::ConditionFailed` | `a_match_behind_the_position_fails_the_append` |
//! | `AppendError::EventIdTaken` | `an_event_id_in_another_stream_is_taken` |
//! | `AppendError::Invalid` | `an_append_beyond_the_limits_is_invalid` |
//! | `AppendError::Refused` | `a_constraint_refuses_the_append_that_violates_it_and_no_other` |
//! | `AppendError::Unavailable` | `a_full_disk_appends_nothing_and_goes_on_when_there_is_room` |
//! | `AppendError::OutcomeUnknown` | `an_answer_that_is_lost_for_good_is_an_unknown_outcome_and_a_repetition_settles_it` |
//! | `AppendError::Closed` | `a_closed_store_takes_no_append` |
//! | `AppendError::StreamTombstoned` | `an_ended_stream_takes_no_event_whatever_is_expected` |
//! | `InvalidAppend::Empty` | `an_append_without_events_is_invalid` |
//! | `InvalidAppend::StreamTwice` | `an_append_with_a_stream_or_an_id_twice_is_invalid` |
//! | `InvalidAppend::EventIdTwice` | `an_append_with_a_stream_or_an_id_twice_is_invalid` |
//! | `InvalidAppend::TooManyEvents` | `an_append_beyond_the_limits_is_invalid` |
//! | `InvalidAppend::TooLarge` | `an_append_beyond_the_limits_is_invalid` |
//! | `InvalidAppend::BehindTombstone` | `what_no_store_may_accept_is_refused` |
//! | `InvalidAppend::SubjectForgotten` | `a_forgotten_subjects_aggregate_still_loads_and_decides` |
//! | `InvalidAppend::UnsealedPersonalData` | `without_a_vault_personal_data_is_refused` |
//! | `InvalidAppend::ReservedKey` | `a_reserved_key_in_data_of_ones_own_is_refused_before_it_is_stored` |
//! | `ReadError::Unavailable` | `a_log_that_is_gone_can_not_be_read` |
//! | `ReadError::Corrupt` | `a_damaged_event_is_named_and_fails_what_needs_it` |
//! | `ReadError::StreamTruncated` | `behind_a_snapshot_the_older_events_go` |
//! | `ReadError::LogTruncated` | `the_log_is_refused_below_its_mark_whatever_is_selected` |
//! | `ReadError::Refused` | `a_stream_of_another_tenant_is_refused_wherever_it_is_named` |
//! | `CheckpointError::Fenced` | `a_former_claimant_is_fenced_and_changes_nothing` |
//! | `CheckpointError::Unavailable` | `a_log_that_is_gone_can_not_be_read` |
//! | `CommandError::Rejected` | `an_aggregate_says_no` |
//! | `CommandError::Contended` | `a_command_that_is_always_overtaken_is_contended` |
//! | `CommandError::IdTaken` | `a_command_id_that_was_used_for_something_else_is_taken` |
//! | `CommandError::Target` | `a_target_of_10_kilobytes_or_with_a_nul_is_refused_and_not_repeated_whole` |
//! | `CommandError::Load` | `a_damaged_event_is_named_and_fails_what_needs_it` |
//! | `CommandError::Decode` | `a_history_that_is_not_understood_decides_nothing` |
//! | `CommandError::Encode` | `an_event_that_can_not_be_written_appends_nothing` |
//! | `CommandError::Append` | `a_command_that_emits_too_much_appends_nothing` |
//! | `LoadBoundaryError::Query` | `a_boundary_about_what_can_be_no_tag_is_not_loaded` |
//! | `LoadBoundaryError::Read` | `a_log_that_is_gone_can_not_be_read` |
//! | `LoadBoundaryError::Decode` | `a_history_that_is_not_understood_decides_nothing` |
//! | `AppendWithinError::Unfiled` | `an_event_without_a_stream_is_not_filed` |
//! | `AppendWithinError::Append` | `a_boundary_that_was_overtaken_appends_nothing` |
//! | `BoundaryError::Rejected` | `an_aggregate_says_no` |
//! | `BoundaryError::Contended` | `a_decision_that_is_always_overtaken_is_contended` |
//! | `BoundaryError::Load` | `a_boundary_about_what_can_be_no_tag_is_not_loaded` |
//! | `BoundaryError::Unfiled` | `an_event_without_a_stream_is_not_filed` |
//! | `BoundaryError::Append` | `a_command_that_emits_too_much_appends_nothing` |
//! | `UnfiledEvent::Encode` | `an_event_without_a_stream_is_not_filed` |
//! | `UnfiledEvent::NoTag` | `an_event_without_a_stream_is_not_filed` |
//! | `UnfiledEvent::Stream` | `an_event_without_a_stream_is_not_filed` |
//! | `EncodeError::Data` | `an_event_that_can_not_be_written_appends_nothing` |
//! | `EncodeError::Tag` | `an_event_that_can_not_be_written_appends_nothing` |
//! | `EncodeError::Raw` | `a_raw_event_is_not_appended_by_accident` |
//! | `DecodeError::UnknownType` | `a_history_that_is_not_understood_decides_nothing` |
//! | `DecodeError::UnknownVersion` | `a_history_that_is_not_understood_decides_nothing` |
//! | `DecodeError::Malformed` | `a_history_that_is_not_understood_decides_nothing` |
//! | `DecodeError::Undeclared` | `an_upcaster_makes_only_what_is_declared` |
//! | `StartError::NameTwice` | `two_components_of_one_name_do_not_start` |
//! | `StartError::NoRuntime` | `nothing_starts_outside_of_a_runtime` |
//! | `StartError::IncompatibleEvents` | `an_application_that_breaks_does_not_start` |
//! | `StartError::SchemasNotKept` | `events_that_can_not_be_compared_do_not_start` |
//! | `StartError::NoSchemaStore` | `events_that_can_not_be_compared_do_not_start` |
//! | `CaughtUpError::Unknown` | `waiting_for_nobody_and_for_somebody_who_stands_still_ends` |
//! | `CaughtUpError::TimedOut` | `waiting_for_nobody_and_for_somebody_who_stands_still_ends` |
//! | `ConnectError::Url` | `what_can_not_be_connected_to_says_why` |
//! | `ConnectError::Unreachable` | `what_can_not_be_connected_to_says_why` |
//! | `ConnectError::Refused` | `what_can_not_be_connected_to_says_why` |
//! | `ConnectError::Migration` | `a_schema_that_is_in_the_way_is_left_as_it_is` |
//! | `ConnectError::MigrationDiffers` | `another_text_under_a_migrations_number_is_refused` |
//! | `OpenError::Open` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `OpenError::NoWriteAheadLog` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `OpenError::Migrate` | `tables_that_are_in_the_way_are_left_as_they_are` |
//! | `OpenError::Foreign` | `a_log_of_a_later_version_is_refused_and_left_as_it_is` |
//! | `SqliteFault::Busy` | `a_foreign_transaction_holds_no_reader_and_an_append_for_the_lock_timeout_only` |
//! | `SqliteFault::Full` | `a_full_file_says_so_loses_nothing_and_goes_on_when_there_is_room` |
//! | `SqliteFault::Io` | `a_write_that_fails_at_commit_is_an_unknown_outcome_until_it_is_repeated` |
//! | `SqliteFault::ReadOnly` | `a_file_of_a_later_format_takes_no_append` |
//! | `SqliteFault::CantOpen` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `SqliteFault::Corrupt` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `SqliteFault::Other` | `a_constraint_in_the_file_fails_the_append_that_violates_it` |
//! | `SqliteFault::Exhausted` | `a_reader_that_finds_every_connection_to_the_file_in_use_is_told_so` |
//!
//! Left out: errors of the bus, of read models, of sagas, which are tested beside their code.

#[path = "provoked_errors/cut_wire.rs"]
mod cut_wire;
#[path = "provoked_errors/deciding.rs"]
mod deciding;
#[path = "provoked_errors/library.rs"]
mod library;
#[path = "provoked_errors/postgres.rs"]
mod postgres;
#[path = "provoked_errors/sqlite.rs"]
mod sqlite;
#[path = "provoked_errors/starting.rs"]
mod starting;

use std::path::{Path, PathBuf};

/// The files whose errors the table is about.
const FILES: [&str; 13] = [
    "core/src/append.rs",
    "core/src/append_error.rs",
    "core/src/boundary/boundary_error.rs",
    "core/src/boundary/boundary_event.rs",
    "core/src/command_error.rs",
    "core/src/event.rs",
    "core/src/runtime/progress.rs",
    "core/src/runtime/start_error.rs",
    "core/src/store/checkpoint_store.rs",
    "core/src/store/event_store.rs",
    "store-postgres/src/connect_error.rs",
    "store-sqlite/src/open_error.rs",
    "store-sqlite/src/result_code.rs",
];

/// Where tests are looked for.
const TESTS: [&str; 5] =
    ["core/src", "macros/tests", "store-sqlite/tests", "tests/src", "tests/tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The variants of every public error enum of a source, as `Enum::Variant`.
fn variants(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut of = None;
    let mut is_error = false;
    for line in source.lines() {
        if line.starts_with("#[derive") || line.starts_with("    thiserror") {
            is_error = line.contains("Error");
        }
        if let Some(name) = line.strip_prefix("pub enum ").filter(|_| is_error) {
            of = name.split(|at: char| !at.is_alphanumeric()).next().map(str::to_owned);
        } else if line == "}" {
            (of, is_error) = (None, false);
        } else if let (Some(of), Some(variant)) = (&of, line.strip_prefix("    ")) {
            let name: String = variant.chars().take_while(|at| at.is_alphanumeric()).collect();
            if name.starts_with(char::is_uppercase) {
                found.push(format!("{of}::{name}"));
            }
        }
    }
    found
}

fn all_below(folder: &Path, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            all_below(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
        }
    }
}

#[test]
fn every_variant_has_a_row_and_every_row_a_test() {
    let rows: Vec<(&str, &str)> = include_str!("provoked_errors.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once("` | "))
        .map(|(variant, test)| (variant, test.trim_end_matches(" |")))
        .collect();
    let mut tests = String::new();
    TESTS.iter().for_each(|folder| all_below(&root().join(folder), &mut tests));
    for (variant, test) in &rows {
        let name = test.trim_matches('`');
        let is_there = tests.contains(&format!("fn {name}("));
        assert!(is_there, "{variant} is said to be provoked by {name}, which is nowhere");
    }
    let mut count = 0;
    for file in FILES {
        let source = std::fs::read_to_string(root().join(file)).expect("a source file");
        for variant in variants(&source) {
            count += 1;
            let has_row = rows.iter().any(|(of, _)| *of == variant);
            assert!(has_row, "{variant} of {file} has no row: write the test that provokes it");
        }
    }
    assert_eq!(count, rows.len(), "a row is about a variant that doesn't exist");
}
