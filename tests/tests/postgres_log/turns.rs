//! Nobody is overtaken for ever: who lost a race for a stream stands in line for the next place.

use super::*;

/// Appends by `way` to a stream that somebody else is about to append to; what became of it.
async fn meets_a_commit(database: &Database, way: Way) -> Option<(EventId, u64)> {
    let winner = Session::open(database.url()).await;
    let loser = Session::open(database.url()).await;
    winner.run("BEGIN").await;
    winner.append("test-a", "first", &[]).await;
    let appending =
        tokio::spawn(async move { loser.append_by(way, "test-a", "tested", "{}").await });
    winner.wait_until_somebody_waits_for("transactionid").await;
    winner.run("COMMIT").await;
    appending.await.expect("no panic")
}

#[tokio::test]
async fn who_waits_in_line_looks_again_before_the_winner_comes_back() {
    let database = database().await;
    open(&database).await.close().await;
    assert_eq!(meets_a_commit(&database, Way::Batch).await, None);
    assert!(meets_a_commit(&database, Way::Turn).await.is_some());
    let owner = Session::open(database.url()).await;
    let (again, never) = ("WHEN unique_violation", "WHEN division_by_zero");
    owner.change_function(Way::Turn.function(), &[(again, never)]).await;
    assert_eq!(meets_a_commit(&database, Way::Turn).await, None, "the variant can't fail");
}

/// Two in line: true if the second waits without a place in the index while the first is at it.
async fn waits_for_its_turn(database: &Database) -> bool {
    let (first, second) =
        (Session::open(database.url()).await, Session::open(database.url()).await);
    first.run("BEGIN").await;
    first.append_by(Way::Turn, "test-a", "first", "{}").await.expect("nobody else appends");
    let appending = tokio::spawn(async move {
        second.append_by(Way::Turn, "test-a", "second", "{}").await.expect("it gets its turn");
    });
    let waits = first.kind_of_lock_that_is_waited_for().await;
    first.run("COMMIT").await;
    appending.await.expect("no panic");
    waits == "advisory"
}

#[tokio::test]
async fn those_who_lost_go_one_behind_the_other() {
    let database = database().await;
    open(&database).await.close().await;
    assert!(waits_for_its_turn(&database).await);
    let owner = Session::open(database.url()).await;
    let turn = "pg_advisory_xact_lock(k.key)";
    owner.change_function(Way::Turn.function(), &[(turn, "int8abs(k.key)")]).await;
    assert!(!waits_for_its_turn(&database).await, "the variant can't fail");
}

/// A session that holds all turns, as somebody in line does before he is at it.
async fn holder_of_all_turns(database: &Database) -> Session {
    let holder = Session::open(database.url()).await;
    holder.run("BEGIN").await;
    let turns =
        "SELECT pg_advisory_xact_lock((24006::bigint << 48) | n) FROM generate_series(0, 255) n";
    holder.run(turns).await;
    holder
}

#[tokio::test]
async fn turns_hold_up_neither_who_met_no_rival_nor_readers() {
    let database = database().await;
    let store = open(&database).await;
    let _holder = holder_of_all_turns(&database).await;
    let position = store.append(to("b")).await.expect("an append").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
}

/// Overtakes an append of the store that expects `expected` while others are in line; gives the
/// holder of all turns, and the append.
async fn overtaken(
    database: &Database,
    expected: ExpectedVersion,
) -> (Session, tokio::task::JoinHandle<Result<highwater::Appended, AppendError>>) {
    let store = open(database).await;
    let holder = holder_of_all_turns(database).await;
    let winner = Session::open(database.url()).await;
    winner.run("BEGIN").await;
    winner.append("test-a", "first", &[]).await;
    let append = Append::to(stream("a"), expected, vec![event("tested")]);
    let appending = tokio::spawn(async move { store.append(append).await });
    winner.wait_until_somebody_waits_for("transactionid").await;
    winner.run("COMMIT").await;
    (holder, appending)
}

#[tokio::test]
async fn the_store_sends_whom_others_overtook_into_the_line() {
    let database = database().await;
    let (holder, appending) = overtaken(&database, ExpectedVersion::Any).await;
    holder.wait_until_somebody_waits_for("advisory").await;
    holder.run("COMMIT").await;
    appending.await.expect("no panic").expect("it gets its turn");
}

/// No place will make it right, so it is told at once.
#[tokio::test]
async fn who_was_overtaken_for_good_does_not_wait_in_line() {
    let database = database().await;
    let (_holder, appending) = overtaken(&database, ExpectedVersion::NoStream).await;
    let outcome = tokio::time::timeout(PATIENCE, appending).await.expect("nobody is waited for");
    let refusal = outcome.expect("no panic").expect_err("the stream is there");
    assert!(matches!(refusal, AppendError::VersionConflict { .. }), "{refusal:?}");
}
