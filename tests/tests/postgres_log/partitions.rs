//! A partitioned log under the rights that the crate's documentation grants.

use super::*;

#[tokio::test]
async fn an_application_role_appends_over_the_end_of_a_partition_and_reads_both_sides() {
    let database = database().await;
    let store = open(&database).await;
    let owner = Session::open(database.url()).await;
    let session = owner.as_application_role().await;
    // Granted before: the new parents must let it read as the tables did.
    store.partition_log_finely(1).await.expect("a log in partitions");
    for way in Way::ALL {
        session.append_by(way, &format!("test-{way:?}"), "tested", "{}").await.expect("it fits");
        let fill = "SELECT setval('highwater.event_position', up_to) FROM highwater.log_partitions
            WHERE state = 'live'";
        owner.run(fill).await;
        assert_eq!(session.error_of_appending(way).await.code(), "HW001", "{way:?}");
        session.run("SELECT highwater.roll_over(1)").await;
        session.run("SELECT highwater.add_next_partition()").await;
    }
    assert_eq!(
        session.number("SELECT count(*) FROM highwater.events").await,
        Way::ALL.len() as i64
    );
    assert_eq!(session.number("SELECT count(*) FROM highwater.event_tags").await, 0);
    for forbidden in [
        "SELECT highwater.begin_partitions(1)",
        // Nor may it skip so many positions that they run out.
        "SELECT highwater.roll_over(1000001)",
        "SELECT highwater.roll_over(0)",
        "SELECT highwater.roll_over(NULL)",
        "SELECT highwater.end_live_at(1)",
        "SELECT highwater.attach_behind(p, 1) FROM highwater.log_partitions p",
        "SELECT highwater.detach_partition(1)",
        "SELECT highwater.drop_partition(1)",
        "SELECT highwater.close_log()",
        "DELETE FROM highwater.events",
        "DELETE FROM highwater.events_1",
        "INSERT INTO highwater.events_1 SELECT * FROM highwater.events_1",
        "UPDATE highwater.log_partitions SET span = 1",
    ] {
        session.run_into_error(forbidden).await;
    }
}
