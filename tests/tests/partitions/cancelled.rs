//! Appends that are cancelled where the live partition ends leave nobody waiting.

use tokio_postgres::error::SqlState;

use super::broken::changed;
use super::*;

/// Appends until it is cancelled.
const APPENDS: &str = "DO $$ BEGIN LOOP BEGIN
    PERFORM highwater.append_event('test-a', 0, gen_random_uuid(), 'tested', 1, '{}', NULL);
    EXCEPTION WHEN SQLSTATE 'HW001' THEN NULL;
    END; END LOOP; END $$";
/// The lock that one session at a time draws positions under, held by one that has nothing to do.
const DRAW_LOCKS: &str = "SELECT count(*) FROM pg_locks l
    JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
    WHERE l.locktype = 'advisory' AND l.classid::bigint >> 16 = 24004";

/// Who loses the lock is found in a few; who doesn't takes them all.
const ROUNDS: usize = 300;

/// Begins to append and is cancelled at any moment; again, if the cancel came before the statement did.
async fn cancelled(appender: &Client, canceller: &Client, pid: i64) -> tokio_postgres::Error {
    // At any moment: not a synchronisation.
    let cancel = format!("SELECT pg_sleep(random() / 100), pg_cancel_backend({pid})");
    let appending = appender.batch_execute(APPENDS);
    tokio::pin!(appending);
    loop {
        tokio::select! {
            appended = &mut appending => return appended.expect_err("it was cancelled"),
            cancelled = canceller.batch_execute(&cancel) => cancelled.expect("a cancel"),
        }
    }
}

/// Appends that have no room are cancelled at whatever step, so often that each step is met. True if one
/// of them left the draw lock behind.
async fn leaves_the_draw_lock_behind(change: &str) -> bool {
    let (database, _store) = log_in_partitions_of(2).await;
    let (appender, canceller) = (session(&database).await, session(&database).await);
    run(&canceller, change).await;
    run(&canceller, "SELECT setval('highwater.event_position', 2)").await;
    let pid = number(&appender, "SELECT pg_backend_pid()::bigint").await;
    for _ in 0..ROUNDS {
        let error = cancelled(&appender, &canceller, pid).await;
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
        // Whatever was cancelled has ended: a lock that is held now was left behind.
        if number(&canceller, DRAW_LOCKS).await > 0 {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_append_that_is_cancelled_at_the_end_of_a_partition_keeps_the_draw_lock() {
    assert!(!leaves_the_draw_lock_behind("").await);
    let given_back = "WHEN pg_catalog.pg_advisory_unlock(6756525340962586624) THEN
                highwater.refuse_for_want_of_room()";
    let kept =
        changed("draw_positions", &[(given_back, "ELSE highwater.refuse_for_want_of_room()")]);
    assert!(leaves_the_draw_lock_behind(&kept).await, "the variant can't fail");
}
