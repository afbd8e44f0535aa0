//! Which errors of an SQL database may pass by themselves. The one place that reads SQLSTATEs.

use sqlx::Error;

/// True if the same work may succeed later without anybody mending anything.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => true,
        Error::Database(error) => error.code().is_some_and(|code| code_may_pass(&code)),
        _ => false,
    }
}

/// SQLSTATE (five characters) for PostgreSQL, a result code in decimal for SQLite.
fn code_may_pass(code: &str) -> bool {
    match code.len() {
        5 => {
            // Connection, rollback (deadlock, serialisation), resources, operator's intervention.
            code.get(..2).is_some_and(|class| ["08", "40", "53", "57"].contains(&class))
                // Lock not available; idle in transaction for too long; read-only after a fail-over.
                || ["55P03", "25P03", "25006"].contains(&code)
        }
        // The low byte is the primary code: busy, locked, input/output error, full.
        _ => code.parse::<u32>().is_ok_and(|code| [5, 6, 10, 13].contains(&(code & 0xff))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for passes in ["40P01", "57P01", "08006", "53300", "55P03", "5", "261", "13"] {
            assert!(code_may_pass(passes), "{passes}");
        }
        for stays in ["23505", "42P01", "22003", "1", "19", "2067", "", "ä"] {
            assert!(!code_may_pass(stays), "{stays}");
        }
    }
}
