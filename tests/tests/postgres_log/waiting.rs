//! Whom readers and writers wait for, and whom not.

use super::*;

#[tokio::test]
async fn foreign_transactions_here_and_in_another_database_delay_nothing() {
    let (here, there) = (database().await, database().await);
    let store = open(&here).await;
    let (session, elsewhere) = (Session::open(here.url()).await, Session::open(there.url()).await);
    for session in [&session, &elsewhere] {
        session.run("CREATE TABLE theirs (n int)").await;
        session.run("BEGIN ISOLATION LEVEL SERIALIZABLE").await;
        session.run("INSERT INTO theirs VALUES (1)").await;
    }
    let append = to("a");
    let position = store.append(append.clone()).await.expect("an append").position;
    // Both transactions are still open.
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
    assert_eq!(ids_of_all(&store).await, ids(&append));
}

#[tokio::test]
async fn an_append_in_flight_in_another_database_holds_nobody_here() {
    let (here, there) = (database().await, database().await);
    let (store, _other) = (open(&here).await, open(&there).await);
    let elsewhere = Session::open(there.url()).await;
    elsewhere.run("BEGIN").await;
    elsewhere.append("test-a", "open", &[]).await;
    let position = store.append(to("a")).await.expect("an append").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
}

#[tokio::test]
async fn a_users_own_advisory_locks_hold_no_reader() {
    let database = database().await;
    let store = open(&database).await;
    let user = Session::open(database.url()).await;
    user.run("BEGIN").await;
    // Another name, the name of ours as two integers, and a key of ours taken exclusively.
    user.run("SELECT pg_advisory_xact_lock_shared(0)").await;
    user.run("SELECT pg_advisory_xact_lock_shared(24001 << 16, 0)").await;
    user.run("SELECT pg_advisory_xact_lock((24001::bigint << 48) | 9)").await;
    for _ in 0..8 {
        store.append(to("a")).await.expect("an append");
    }
    let position = store.append(to("a")).await.expect("an append").position;
    assert_eq!(position, GlobalPosition::new(9));
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
}

#[tokio::test]
async fn a_conflict_with_an_open_append_is_decided_when_that_one_ends() {
    for (ending, expected) in [("COMMIT", false), ("ROLLBACK", true)] {
        let database = database().await;
        let store = open(&database).await;
        let other = Session::open(database.url()).await;
        other.run("BEGIN").await;
        other.append("test-a", "open", &[]).await;
        let append = Append::to(stream("a"), ExpectedVersion::NoStream, vec![event("tested")]);
        let appending = tokio::spawn({
            let store = store.clone();
            async move { store.append(append).await }
        });
        other.wait_until_somebody_waits_for("transactionid").await;
        assert!(!appending.is_finished());
        other.run(ending).await;
        match appending.await.expect("no panic") {
            Ok(_) => assert!(expected, "it was appended though the other one committed"),
            Err(AppendError::VersionConflict { actual, .. }) => {
                assert!(!expected);
                assert_eq!(actual, StreamVersion::new(1));
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(ids_of_all(&store).await.len(), 1);
    }
}
