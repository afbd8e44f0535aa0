//! What a command costs, counted on the wire to the server.

use highwater::CommandHandler;
use highwater_tests::cut_proxy::CutProxy;
use highwater_tests::killed_writers::tally::Count;

use super::*;

const COMMANDS: u64 = 10;

/// Round trips of so many commands to one aggregate, one after another.
async fn round_trips(proxy: &CutProxy, handlers: &[CommandHandler]) -> u64 {
    let before = proxy.round_trips();
    for handler in handlers {
        handler.execute(Count("a".to_owned())).await.expect("it counts");
    }
    proxy.round_trips() - before
}

#[tokio::test]
async fn a_command_on_a_warm_aggregate_costs_one_round_trip() {
    let database = database().await;
    let proxy = CutProxy::to(database.url()).await;
    let store = PostgresStore::connect(&proxy.url(database.url())).await.expect("a log");
    let warm = vec![CommandHandler::new(store.clone()); COMMANDS as usize];
    // Statements are prepared once on each connection.
    for _ in 0..10 {
        round_trips(&proxy, &warm).await;
    }
    assert_eq!(round_trips(&proxy, &warm).await, COMMANDS);
    let cold: Vec<_> = (0..COMMANDS).map(|_| CommandHandler::new(store.clone())).collect();
    assert!(round_trips(&proxy, &cold).await > COMMANDS, "who has to load reads as well");
}
