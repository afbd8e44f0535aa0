//! Every error of the write side, brought about for real: by a constraint, a full disk, a cut wire, a
//! killed server, a wrong key, a torn file, a name of 10 kB.
//!
//! The table says which test provokes which variant, by the name that it has behind `highwater::`. A
//! variant without a row fails [`every_variant_has_a_row_and_every_row_a_test`], and so does a row
//! whose test is gone.
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
//! | `CheckpointError::Refused` | `a_sealed_state_opens_in_its_own_place_only_and_that_place_is_told` |
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
//! | `SnapshotError::Unavailable` | `a_snapshot_that_is_torn_is_told_from_one_that_can_not_be_reached` |
//! | `SnapshotError::Refused` | `a_snapshot_that_violates_a_constraint_is_refused_and_no_other` |
//! | `SnapshotError::Corrupt` | `a_snapshot_that_is_torn_is_told_from_one_that_can_not_be_reached` |
//! | `InvalidStreamId::Category` | `a_category_that_is_no_word_and_a_tenant_that_is_none_name_no_stream` |
//! | `InvalidStreamId::Tenant` | `a_category_that_is_no_word_and_a_tenant_that_is_none_name_no_stream` |
//! | `InvalidStreamId::EmptyKey` | `hostile_names_are_refused_and_not_repeated_whole` |
//! | `InvalidStreamId::ControlCharacter` | `hostile_names_are_refused_and_not_repeated_whole` |
//! | `InvalidStreamId::TooLong` | `hostile_names_are_refused_and_not_repeated_whole` |
//! | `InvalidStreamId::NoSeparator` | `hostile_names_are_refused_and_not_repeated_whole` |
//! | `InvalidTag::Form` | `a_value_may_hold_what_a_name_may_not` |
//! | `InvalidTag::TooLong` | `a_value_may_hold_what_a_name_may_not` |
//! | `InvalidTag::ControlCharacter` | `a_value_may_hold_what_a_name_may_not` |
//! | `TenantError::Stream` | `a_stream_of_another_tenant_is_refused_wherever_it_is_named` |
//! | `TenantError::Tag` | `a_tag_that_names_a_tenant_is_refused_wherever_it_is_named` |
//! | `TenantError::Metadata` | `metadata_that_names_another_tenant_is_refused` |
//! | `WrapError::UnknownMaster` | `keys_of_a_master_that_is_not_at_hand_open_nothing_until_it_is` |
//! | `WrapError::Refused` | `the_wrong_master_key_is_told_with_the_position_that_it_fails_at` |
//! | `WrapError::Unavailable` | `without_random_numbers_nothing_is_sealed_and_no_key_is_made` |
//! | `InvalidMasterKey::Missing` | `master_keys_are_read_from_text_and_never_shown` |
//! | `InvalidMasterKey::Form` | `master_keys_are_read_from_text_and_never_shown` |
//! | `InvalidMasterKey::Length` | `master_keys_are_read_from_text_and_never_shown` |
//! | `InvalidMasterKey::NameTwice` | `master_keys_are_read_from_text_and_never_shown` |
//! | `KeyError::Store` | `without_the_store_of_keys_nothing_is_sealed_opened_rotated_or_forgotten` |
//! | `KeyError::Wrap` | `keys_of_a_master_that_is_not_at_hand_open_nothing_until_it_is` |
//! | `KeyError::NotRewrapped` | `a_key_that_does_not_open_keeps_no_other_under_the_old_master_key` |
//! | `SealError::Invalid` | `a_reserved_key_in_data_of_ones_own_is_never_sealed` |
//! | `SealError::OtherTenant` | `a_tenant_names_no_other_tenants_subject` |
//! | `SealError::Key` | `without_the_store_of_keys_nothing_is_sealed_opened_rotated_or_forgotten` |
//! | `SealError::NoRandomness` | `without_random_numbers_nothing_is_sealed_and_no_key_is_made` |
//! | `NodeError::Malformed` | `nodes_that_no_vault_writes_are_malformed` |
//! | `NodeError::TooDeep` | `what_is_sealed_in_each_other_without_end_is_too_deep` |
//! | `NodeError::NoKey` | `a_key_that_was_never_there_is_not_taken_for_a_forgotten_one` |
//! | `NodeError::Wrapped` | `the_wrong_master_key_is_told_with_the_position_that_it_fails_at` |
//! | `NodeError::NotAuthentic` | `changed_text_is_not_authentic_and_its_position_is_told` |
//! | `OpenError::Key` | `without_the_store_of_keys_nothing_is_sealed_opened_rotated_or_forgotten` |
//! | `OpenError::Event` | `changed_text_is_not_authentic_and_its_position_is_told` |
//! | `OpenError::State` | `a_sealed_state_opens_in_its_own_place_only_and_that_place_is_told` |
//! | `ForgetError::NoVault` | `without_a_vault_personal_data_is_refused` |
//! | `ForgetError::OtherTenant` | `a_tenant_names_no_other_tenants_subject` |
//! | `ForgetError::Key` | `without_the_store_of_keys_nothing_is_sealed_opened_rotated_or_forgotten` |
//! | `retention::ArchiveError::Io` | `an_archive_that_can_not_be_written_says_if_it_is_for_the_log_or_for_a_file` |
//! | `retention::ArchiveError::Damaged` | `lines_that_were_taken_out_moved_doubled_or_edited_are_found` |
//! | `retention::ArchiveError::UnknownFormat` | `a_file_of_a_newer_format_and_a_missing_one_are_told_from_damage` |
//! | `retention::ArchiveError::Missing` | `a_file_of_a_newer_format_and_a_missing_one_are_told_from_damage` |
//! | `retention::ArchiveError::ForeignFile` | `a_file_of_another_history_is_neither_passed_over_nor_overwritten` |
//! | `retention::ArchiveError::NotFinal` | `what_is_not_final_is_not_archived` |
//! | `retention::ArchiveError::UnsealedPersonalData` | `personal_data_in_plain_text_is_never_archived` |
//! | `retention::ArchiveError::Read` | `an_archive_that_can_not_be_written_says_if_it_is_for_the_log_or_for_a_file` |
//! | `retention::RestoreError::Archive` | `nothing_is_restored_over_other_events_or_from_a_file_that_was_cut` |
//! | `retention::RestoreError::Append` | `nothing_is_restored_over_other_events_or_from_a_file_that_was_cut` |
//! | `retention::RetentionError::Unavailable` | `what_others_lock_is_neither_marked_nor_removed_nor_ended` |
//! | `retention::TombstoneError::NoStream` | `a_stream_without_events_can_not_be_ended` |
//! | `retention::TombstoneError::Refused` | `a_store_that_is_closed_ends_no_stream` |
//! | `retention::TombstoneError::Unavailable` | `what_others_lock_is_neither_marked_nor_removed_nor_ended` |
//! | `retention::TruncateError::NoSnapshot` | `without_a_snapshot_at_the_first_event_that_stays_nothing_goes` |
//! | `retention::TruncateError::StreamHeadStays` | `a_stream_that_is_shorter_than_its_snapshot_keeps_its_head` |
//! | `retention::TruncateError::LogHeadStays` | `the_newest_event_of_a_stream_stays` |
//! | `retention::TruncateError::NotFinal` | `a_stream_of_which_no_event_is_final_yet_loses_none_until_one_is` |
//! | `retention::TruncateError::Unread` | `what_a_consumer_has_not_read_stays_and_the_consumer_is_named` |
//! | `retention::TruncateError::NotArchived` | `what_nobody_archived_stays` |
//! | `retention::TruncateError::ForeignArchive` | `the_archive_of_another_log_does_not_count` |
//! | `retention::TruncateError::NotTombstoned` | `all_events_of_an_ended_stream_may_go_but_of_no_other` |
//! | `retention::TruncateError::Read` | `a_log_or_a_snapshot_that_can_not_be_read_loses_nothing` |
//! | `retention::TruncateError::Snapshot` | `a_log_or_a_snapshot_that_can_not_be_read_loses_nothing` |
//! | `retention::TruncateError::Store` | `what_others_lock_is_neither_marked_nor_removed_nor_ended` |
//! | `schema::InvalidSchemaLock::Malformed` | `a_text_that_is_no_lock_is_refused` |
//! | `schema::InvalidSchemaLock::Format` | `a_text_that_is_no_lock_is_refused` |
//! | `schema::SchemaLockError::File` | `the_lock_file_is_checked_written_and_never_breaks_silently` |
//! | `schema::SchemaLockError::Invalid` | `the_lock_file_is_checked_written_and_never_breaks_silently` |
//! | `schema::SchemaLockError::Breaks` | `the_lock_file_is_checked_written_and_never_breaks_silently` |
//! | `schema::SchemaLockError::Outdated` | `the_lock_file_is_checked_written_and_never_breaks_silently` |
//! | `schema::KeepSchemasError::Unavailable` | `a_schema_that_is_torn_is_told_from_one_that_can_not_be_reached` |
//! | `schema::KeepSchemasError::Corrupt` | `a_schema_that_is_torn_is_told_from_one_that_can_not_be_reached` |
//! | `schema::KeepSchemasError::Incompatible` | `what_breaks_is_refused_and_adds_nothing` |
//! | `schema::InvalidEvent::Version` | `are_refused_in_another_version` |
//! | `schema::InvalidEvent::Data` | `are_refused_with_the_place_of_what_is_wrong` |
//! | `postgres::ConnectError::Url` | `what_can_not_be_connected_to_says_why` |
//! | `postgres::ConnectError::Unreachable` | `what_can_not_be_connected_to_says_why` |
//! | `postgres::ConnectError::Refused` | `what_can_not_be_connected_to_says_why` |
//! | `postgres::ConnectError::Migration` | `a_schema_that_is_in_the_way_is_left_as_it_is` |
//! | `postgres::ConnectError::MigrationDiffers` | `another_text_under_a_migrations_number_is_refused` |
//! | `postgres::PartitionError::TooSmall` | `a_log_has_no_partitions_unless_it_is_told` |
//! | `postgres::PartitionError::TooLarge` | `a_log_has_no_partitions_unless_it_is_told` |
//! | `postgres::PartitionError::Unavailable` | `a_database_that_refuses_to_be_partitioned_says_so_and_stays_as_it_was` |
//! | `sqlite::OpenError::Open` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `sqlite::OpenError::NoWriteAheadLog` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `sqlite::OpenError::Migrate` | `tables_that_are_in_the_way_are_left_as_they_are` |
//! | `sqlite::OpenError::Foreign` | `a_log_of_a_later_version_is_refused_and_left_as_it_is` |
//! | `sqlite::SqliteFault::Busy` | `a_foreign_transaction_holds_no_reader_and_an_append_for_the_lock_timeout_only` |
//! | `sqlite::SqliteFault::Full` | `a_full_file_says_so_loses_nothing_and_goes_on_when_there_is_room` |
//! | `sqlite::SqliteFault::Io` | `a_write_that_fails_at_commit_is_an_unknown_outcome_until_it_is_repeated` |
//! | `sqlite::SqliteFault::ReadOnly` | `a_file_of_a_later_format_takes_no_append` |
//! | `sqlite::SqliteFault::CantOpen` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `sqlite::SqliteFault::Corrupt` | `what_is_no_log_is_refused_with_what_to_do_about_it` |
//! | `sqlite::SqliteFault::Other` | `a_constraint_in_the_file_fails_the_append_that_violates_it` |
//! | `sqlite::SqliteFault::Exhausted` | `a_reader_that_finds_every_connection_to_the_file_in_use_is_told_so` |
//!
//! Left out: errors of the bus, of read models, of sagas, which are tested beside their code; and
//! `BatchError`, which no call answers: a store's writer tells it to the pipeline, and the pipeline
//! tells each caller an `AppendError`.

#[path = "provoked_errors/beside_the_log.rs"]
mod beside_the_log;
#[path = "provoked_errors/cut_wire.rs"]
mod cut_wire;
#[path = "provoked_errors/deciding.rs"]
mod deciding;
#[path = "provoked_errors/library.rs"]
mod library;
#[cfg(target_os = "linux")]
#[path = "provoked_errors/no_randomness.rs"]
mod no_randomness;
#[path = "provoked_errors/postgres.rs"]
mod postgres;
#[path = "provoked_errors/retention.rs"]
mod retention;
#[path = "provoked_errors/sqlite.rs"]
mod sqlite;
#[path = "provoked_errors/starting.rs"]
mod starting;
#[path = "provoked_errors/vault.rs"]
mod vault;

use std::path::{Path, PathBuf};

/// The files whose errors the table is about.
const FILES: [&str; 28] = [
    "core/src/append.rs",
    "core/src/append_error.rs",
    "core/src/boundary/boundary_error.rs",
    "core/src/boundary/boundary_event.rs",
    "core/src/command_error.rs",
    "core/src/event.rs",
    "core/src/personal/key_wrapper.rs",
    "core/src/personal/master_keys.rs",
    "core/src/personal/vault_error.rs",
    "core/src/retention/archive_error.rs",
    "core/src/retention/retention_store.rs",
    "core/src/retention/truncation_error.rs",
    "core/src/runtime/progress.rs",
    "core/src/runtime/start_error.rs",
    "core/src/schema/lock.rs",
    "core/src/schema/lock_file.rs",
    "core/src/schema/schema_store.rs",
    "core/src/schema/validate.rs",
    "core/src/store/checkpoint_store.rs",
    "core/src/store/event_store.rs",
    "core/src/store/snapshot_store.rs",
    "core/src/stream_id.rs",
    "core/src/tag.rs",
    "core/src/tenant/terms.rs",
    "store-postgres/src/connect_error.rs",
    "store-postgres/src/partitions.rs",
    "store-sqlite/src/open_error.rs",
    "store-sqlite/src/result_code.rs",
];

/// Where the errors below a folder stand behind `highwater::`; all others stand there themselves.
const MODULES: [(&str, &str); 4] = [
    ("core/src/retention/", "retention::"),
    ("core/src/schema/", "schema::"),
    ("store-postgres/", "postgres::"),
    ("store-sqlite/", "sqlite::"),
];

/// Where tests are looked for.
const TESTS: [&str; 5] =
    ["core/src", "macros/tests", "store-sqlite/tests", "tests/src", "tests/tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Tells two enums of one name apart, as it does for those who use them.
fn module_of(file: &str) -> &'static str {
    MODULES.iter().find(|(folder, _)| file.starts_with(folder)).map_or("", |(_, module)| module)
}

/// The variants of every public error enum of a source, as `module::Enum::Variant`.
fn variants(module: &str, source: &str) -> Vec<String> {
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
                found.push(format!("{module}{of}::{name}"));
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
        for variant in variants(module_of(file), &source) {
            count += 1;
            let has_row = rows.iter().any(|(of, _)| *of == variant);
            assert!(has_row, "{variant} of {file} has no row: write the test that provokes it");
        }
    }
    assert_eq!(count, rows.len(), "a row is about a variant that doesn't exist");
}
