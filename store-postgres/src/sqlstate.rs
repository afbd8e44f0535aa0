//! What a failure of the database means for us: the one place that reads SQLSTATE codes.

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// What became of a statement that failed after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Somebody else's transaction was in the way. Nothing was written; at once or alone it may
    /// succeed.
    Interfered,
    /// The server can't do it now. Nothing was written.
    Unavailable,
    /// The server doesn't accept the data itself. Nothing was written, nor ever will be.
    Refused,
    /// The connection is gone. The statement was carried out or not.
    OutcomeUnknown,
}

/// Reads the failure of a statement that was sent, and that is a transaction of its own.
pub(crate) fn of_statement(error: &Error) -> Meaning {
    let Some(db) = error.as_db_error() else {
        // The connection broke, or spoke nonsense; whether the commit was reached is open.
        return Meaning::OutcomeUnknown;
    };
    // FATAL and PANIC end the session, and a session may be ended after its commit took effect and
    // before it could say so (pg_terminate_backend, a shutdown). An ERROR comes before the commit.
    if db.parsed_severity().is_none_or(|severity| severity != Severity::Error) {
        return Meaning::OutcomeUnknown;
    }
    of_code(db.code())
}

/// What became of an append within a transaction that is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeaningWithin {
    /// Somebody committed what the append collides with; called again, it sees that.
    Overtaken,
    /// The transaction isn't READ COMMITTED.
    WrongIsolation,
    /// The server doesn't accept the data itself.
    Refused,
    /// The transaction can't go on, or not now. It may as a whole.
    Unavailable,
}

/// Reads the failure of an append within an open transaction: nothing of it is committed.
pub(crate) fn of_statement_within(error: &Error) -> MeaningWithin {
    match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => MeaningWithin::Overtaken,
        Some(code) if *code == SqlState::INVALID_TRANSACTION_STATE => MeaningWithin::WrongIsolation,
        Some(code) if of_code(code) == Meaning::Refused => MeaningWithin::Refused,
        _ => MeaningWithin::Unavailable,
    }
}

/// What `highwater.draw_positions` refuses with where the live partition has no room.
const END_OF_PARTITION: &str = "HW001";

/// True if the live partition has no room for the append.
pub(crate) fn is_end_of_partition(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == END_OF_PARTITION)
}

/// True if other transactions hold locks that the statement needs: a lock_timeout, or a deadlock.
pub(crate) fn is_lock_in_the_way(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
    })
}

/// True if connecting again can't help before somebody changes something: wrong password or user,
/// no such database, no right to connect.
pub(crate) fn is_refusal_to_connect(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        code.code().starts_with("28")
            || [SqlState::INVALID_CATALOG_NAME, SqlState::INSUFFICIENT_PRIVILEGE].contains(code)
    })
}

fn of_code(code: &SqlState) -> Meaning {
    let interfered = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        // "out of shared memory": more locks than the server's table holds; one append needs few.
        SqlState::OUT_OF_MEMORY,
    ];
    if interfered.contains(code) {
        return Meaning::Interfered;
    }
    // By class: data exceptions (NUL in a text, malformed JSON), integrity constraints, limits of
    // the program (an index entry too long), and features that are not there.
    match code.code().get(..2) {
        Some("22" | "23" | "54" | "0A") => Meaning::Refused,
        _ => Meaning::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_a_caller_can_do() {
        for (code, meaning) in [
            (SqlState::UNIQUE_VIOLATION, Meaning::Interfered),
            (SqlState::T_R_DEADLOCK_DETECTED, Meaning::Interfered),
            (SqlState::CHARACTER_NOT_IN_REPERTOIRE, Meaning::Refused),
            (SqlState::INVALID_TEXT_REPRESENTATION, Meaning::Refused),
            (SqlState::PROGRAM_LIMIT_EXCEEDED, Meaning::Refused),
            (SqlState::QUERY_CANCELED, Meaning::Unavailable),
            (SqlState::READ_ONLY_SQL_TRANSACTION, Meaning::Unavailable),
            (SqlState::DISK_FULL, Meaning::Unavailable),
            (SqlState::UNDEFINED_FUNCTION, Meaning::Unavailable),
        ] {
            assert_eq!(of_code(&code), meaning, "{}", code.code());
        }
    }
}
