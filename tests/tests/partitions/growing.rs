//! How a log comes to have partitions and adds further ones, beside everybody who uses it.

use highwater::postgres::PartitionError;
use highwater::{AppendError, EventStore, ExpectedVersion, Selection, StreamVersion};
use highwater_tests::conformance::log::given::{event, events, everything, stream, tagged, to_any};

use super::*;

#[tokio::test]
async fn a_log_has_no_partitions_unless_it_is_told() {
    let database = services::postgres().await.fresh_database().await;
    let store = open(&database).await;
    assert_eq!(store.partitions().await.expect("the partitions"), []);
    let refused = store.partition_log(99_999).await;
    assert!(matches!(refused, Err(PartitionError::TooSmall { events: 99_999, .. })), "{refused:?}");
    let refused = store.partition_log(u64::MAX).await;
    assert!(matches!(refused, Err(PartitionError::TooLarge { .. })), "{refused:?}");
    let sql = "SELECT count(*) FROM pg_class WHERE relkind = 'p'";
    assert_eq!(number(&session(&database).await, sql).await, 0);
}

#[tokio::test]
async fn a_log_is_partitioned_once_and_told_again_changes_the_size_of_the_next_one() {
    let database = services::postgres().await.fresh_database().await;
    let store = open(&database).await;
    let at = to_any(&stream("a"), vec![tagged("tested", &["about:a"])]);
    store.append(at).await.expect("an append");
    store.partition_log_finely(2).await.expect("partitioned");
    store.partition_log_finely(10).await.expect("another size");
    for _ in 0..5 {
        store.append(to_any(&stream("a"), events(1))).await.expect("an append");
    }
    let ends: Vec<_> = store.partitions().await.expect("the partitions");
    let ends: Vec<_> = ends.iter().map(|it| (it.after.get(), it.up_to.get(), it.state)).collect();
    // The first was given room for 2 behind what was there, the second laid out before the other size.
    assert_eq!(ends[..2], [(0, 3, PartitionState::Sealed), (3, 5, PartitionState::Sealed)]);
    // The third has room for 10, and for the append that met the end if that had to make it.
    assert!(ends[2] == (5, 15, PartitionState::Live) || ends[2] == (5, 16, PartitionState::Live));
    assert_eq!(everything(&*store, &Selection::All).await.len(), 6);
}

/// Who asks for room gets it, also where others have left some: so whom they always overtake can ask
/// for more than they take.
#[tokio::test]
async fn a_roll_over_makes_the_room_that_is_wanted() {
    let (database, store) = log_in_partitions_of(10).await;
    store.append(to_any(&stream("a"), events(7))).await.expect("an append");
    let owner = session(&database).await;
    for (wanted, ends) in [
        (3, vec![10, 20]),
        (4, vec![10, 20]),
        (10, vec![10, 20]),
        // There is no next one, so it is made as large as need be.
        (11, vec![10, 20, 41]),
        (21, vec![10, 20, 41]),
        (22, vec![10, 20, 41, 73]),
    ] {
        run(&owner, &format!("SELECT highwater.roll_over({wanted})")).await;
        let partitions = store.partitions().await.expect("the partitions");
        assert_eq!(
            partitions.iter().map(|it| it.up_to.get()).collect::<Vec<_>>(),
            ends,
            "{wanted}"
        );
    }
    let behind = store.append(to_any(&stream("a"), events(1))).await.expect("an append");
    assert_eq!(behind.position.get(), 42);
    assert_eq!(store.high_water_mark().await.expect("a mark"), behind.position);
    assert_eq!(everything(&*store, &Selection::All).await.len(), 8);
}

#[tokio::test]
async fn a_database_that_refuses_to_be_partitioned_says_so_and_stays_as_it_was() {
    let database = services::postgres().await.fresh_database().await;
    open(&database).await.close().await;
    let owner = session(&database).await;
    let name = database.name();
    run(&owner, &format!(r#"ALTER DATABASE "{name}" SET default_transaction_read_only = on"#))
        .await;
    let store = open(&database).await;
    let refused = store.partition_log_finely(10).await;
    assert!(matches!(refused, Err(PartitionError::Unavailable { .. })), "{refused:?}");
    run(&owner, &format!(r#"ALTER DATABASE "{name}" RESET default_transaction_read_only"#)).await;
    let store = open(&database).await;
    assert!(store.partitions().await.expect("the partitions").is_empty());
    store.append(to_any(&stream("a"), events(1))).await.expect("an append");
}

/// Twice at once, and while others append: nobody is refused, nothing is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_partitioned_beside_its_writers() {
    let database = services::postgres().await.fresh_database().await;
    let store = open(&database).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for version in 0..100 {
                    let expected = match version {
                        0 => ExpectedVersion::NoStream,
                        _ => ExpectedVersion::Exact(StreamVersion::new(version)),
                    };
                    let own = stream(&format!("own-{writer}"));
                    let append = highwater::Append::to(own, expected, vec![event("tested")]);
                    store.append(append).await.expect("an append");
                }
            })
        })
        .collect();
    let other = open(&database).await;
    let (one, two) = tokio::join!(store.partition_log_finely(40), other.partition_log_finely(40));
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    store.partition_log_finely(40).await.expect("it goes on where it stopped");
    for writer in writers {
        writer.await.expect("no panic");
    }
    assert_eq!(everything(&*store, &Selection::All).await.len(), 800);
    assert!(!partitions(&store, PartitionState::Live).await.is_empty());
}

/// An append that stays open holds up the roll-over, and nobody else for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_over_waits_for_an_append_that_is_open_and_readers_wait_for_neither() {
    let (database, store) = log_in_partitions_of(2).await;
    let mut client = session(&database).await;
    let open = client.transaction().await.expect("a transaction");
    store.append_in(&open, to_any(&stream("a"), events(1))).await.expect("an append");
    store.append(to_any(&stream("b"), events(1))).await.expect("it fits");
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.append(to_any(&stream("c"), events(1))).await })
    };
    let looking = session(&database).await;
    let is_waiting = "SELECT EXISTS (SELECT FROM pg_locks l
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE NOT l.granted AND l.mode = 'ExclusiveLock' AND l.classid::bigint >> 16 = 24002)";
    until(&looking, is_waiting).await;
    assert_eq!(everything(&*store, &Selection::All).await.len(), 0);
    assert!(!waiting.is_finished());
    open.commit().await.expect("a commit");
    waiting.await.expect("no panic").expect("it was appended");
    assert_eq!(everything(&*store, &Selection::All).await.len(), 3);
}

/// What is tried in vain costs the appends that fit nothing.
#[tokio::test]
async fn a_roll_over_that_is_given_up_leaves_the_room_that_there_is() {
    let (database, store) = log_in_partitions_of(10).await;
    store.append(to_any(&stream("a"), events(7))).await.expect("an append");
    let mut in_the_way = session(&database).await;
    let open = in_the_way.transaction().await.expect("a transaction");
    store.append_in(&open, to_any(&stream("b"), events(1))).await.expect("an append");
    let owner = session(&database).await;
    let given_up = owner.batch_execute("SELECT highwater.roll_over(4)").await;
    assert!(given_up.is_err(), "somebody was in the way");
    open.commit().await.expect("a commit");
    let fits = store.append(to_any(&stream("a"), events(2))).await.expect("an append");
    assert_eq!(fits.position.get(), 10);
    assert!(partitions(&store, PartitionState::Sealed).await.is_empty());
}

/// Whoever laid the log out: what appends call belongs to the role that migrated.
#[tokio::test]
async fn a_log_that_a_superuser_has_partitioned_is_added_to_under_the_role_that_migrated() {
    let database = services::postgres().await.fresh_database().await;
    let superuser = session(&database).await;
    let (name, role) = (database.name(), format!("owner_of_{}", database.name()));
    run(&superuser, &format!("CREATE ROLE {role}; GRANT CREATE ON DATABASE {name} TO {role}"))
        .await;
    let separator = if database.url().contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}options=-c%20role%3D{role}", database.url());
    let store = PostgresStore::connect(&url).await.expect("a log of this role");
    open(&database).await.partition_log_finely(2).await.expect("partitioned");
    for _ in 0..6 {
        store.append(to_any(&stream("a"), events(1))).await.expect("an append");
    }
    assert!(partitions(&store, PartitionState::Sealed).await.len() > 1);
    store.close().await;
    run(
        &superuser,
        &format!("DROP SCHEMA highwater CASCADE; DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
}

#[tokio::test]
async fn an_append_in_the_callers_transaction_goes_over_the_end_of_a_partition() {
    let (database, store) = log_in_partitions_of(2).await;
    let mut client = session(&database).await;
    for _ in 0..8 {
        let transaction = client.transaction().await.expect("a transaction");
        let append = to_any(&stream("a"), events(2));
        store.append_in(&transaction, append).await.expect("an append");
        transaction.commit().await.expect("a commit");
    }
    assert!(partitions(&store, PartitionState::Sealed).await.len() > 1);
    assert_eq!(everything(&*store, &Selection::All).await.len(), 16);
}

/// Its first append is in flight as long as it is open, and no partition is added behind that.
#[tokio::test]
async fn a_callers_transaction_that_meets_the_end_with_its_second_append_can_be_tried_again() {
    let (database, store) = log_in_partitions_of(2).await;
    let mut client = session(&database).await;
    let transaction = client.transaction().await.expect("a transaction");
    store.append_in(&transaction, to_any(&stream("a"), events(2))).await.expect("an append");
    let second = store.append_in(&transaction, to_any(&stream("b"), events(1))).await;
    let error = second.expect_err("there is no room");
    assert!(matches!(error, AppendError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    transaction.rollback().await.expect("a roll-back");
    let transaction = client.transaction().await.expect("a transaction");
    for key in ["a", "b"] {
        let append = to_any(&stream(key), events(1));
        store.append_in(&transaction, append).await.expect("there is room now");
    }
    transaction.commit().await.expect("a commit");
    assert_eq!(everything(&*store, &Selection::All).await.len(), 2);
}

/// A check of somebody else's is no end of a partition, whether there are any or not.
#[tokio::test]
async fn what_a_trigger_forbids_is_refused_and_adds_no_partition() {
    for is_partitioned in [false, true] {
        let database = services::postgres().await.fresh_database().await;
        let store = open(&database).await;
        if is_partitioned {
            store.partition_log_finely(100).await.expect("partitioned");
        }
        let forbids = "CREATE FUNCTION public.forbid() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation', CONSTRAINT = 'mine'; END $$;
            CREATE TRIGGER forbid BEFORE INSERT ON highwater.events FOR EACH ROW
            WHEN (NEW.type = 'secret') EXECUTE FUNCTION public.forbid()";
        run(&session(&database).await, forbids).await;
        let refused = store.append(to_any(&stream("a"), vec![event("secret")])).await;
        assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
        store.append(to_any(&stream("a"), vec![event("public")])).await.expect("an append");
    }
}

/// The planner leaves out the partitions that a range of positions doesn't touch.
#[tokio::test]
async fn a_page_and_a_condition_ask_only_the_partitions_in_their_range() {
    let (database, store) = log_in_partitions_of(10).await;
    for _ in 0..6 {
        let ten = (0..10).map(|_| tagged("tested", &["about:a"])).collect();
        let append = to_any(&stream("a"), ten);
        store.append(append).await.expect("an append");
    }
    let client = session(&database).await;
    until(&client, HAS_NEXT).await;
    run(
        &client,
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_sort = off",
    )
    .await;
    for query in [
        "SELECT e.position FROM highwater.events e
         WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT 10",
        "SELECT e.position FROM highwater.events e
         WHERE (e.type, e.position) > ('tested', $1) AND (e.type, e.position) <= ('tested', $2)
           AND e.position > $1 AND e.position <= $2 ORDER BY e.type, e.position LIMIT 10",
        "SELECT t.position FROM highwater.event_tags t
         WHERE t.tag = 'about:a' AND t.position > $1 AND t.position <= $2 ORDER BY t.position LIMIT 10",
    ] {
        let prepare = format!("PREPARE page (bigint, bigint) AS {query}");
        run(&client, &prepare).await;
        let rows = client.simple_query("EXPLAIN EXECUTE page(0, 5)").await.expect("a plan");
        let plan: String = rows
            .iter()
            .filter_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        let all = store.partitions().await.expect("the partitions").len();
        assert!(plan.contains(&format!("Subplans Removed: {}", all - 1)), "{plan}");
        run(&client, "DEALLOCATE page").await;
    }
}
