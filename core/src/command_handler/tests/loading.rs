//! What a command reads before it decides, and what its events carry.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_aggregate_without_events_is_in_its_default_state() {
    let (commands, _) = handler();
    let loaded = commands.load::<Tally>(&"a".to_owned()).await.unwrap();
    assert_eq!((loaded.state.sum, loaded.version), (0, StreamVersion::EMPTY));
    assert_eq!(loaded.position, GlobalPosition::START);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_emits_nothing_stands_where_the_aggregate_does() {
    let (commands, store) = handler();
    let nothing = Add::each("a", []);
    let receipt = commands.execute(nothing.clone()).await.unwrap();
    assert_eq!((receipt.version.get(), receipt.position.get()), (0, 0));
    commands.execute(Add::one("elsewhere", 1)).await.unwrap();
    let last = commands.execute(Add::one("a", 1)).await.unwrap();
    let receipt = commands.execute(nothing).await.unwrap();
    assert_eq!((receipt.version, receipt.position), (last.version, last.position));
    assert!(!receipt.was_repeated);
    assert_eq!(store.appends(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_history_of_many_pages_is_read_to_its_end() {
    for length in [LOAD_PAGE - 1, LOAD_PAGE, LOAD_PAGE + 1, 2 * LOAD_PAGE, 2 * LOAD_PAGE + 500] {
        let (commands, store) = handler();
        let zeros = std::iter::repeat_n(0, length - 1);
        store.append(from_others("a", zeros.chain([17]))).await.unwrap();
        let receipt = commands.execute(Add::one("a", 5)).await.unwrap();
        assert_eq!(receipt.version.get(), length as u64 + 1);
        let pages = length / LOAD_PAGE + 1;
        assert_eq!((store.reads(), store.appends()), (pages, 2), "{length} events");
        let last = one(&recorded(&store, "a").await[length]);
        assert_eq!(last, Added { by: 5, seen: 17 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_found_pages_back() {
    let (commands, store) = handler();
    let add = Add::one("a", 5).under(CommandId::new());
    let first = commands.execute(add.clone()).await.unwrap();
    let zeros = std::iter::repeat_n(0, 3 * LOAD_PAGE);
    store.append(from_others("a", zeros)).await.unwrap();
    let again = commands.execute(add).await.unwrap();
    assert_eq!(again, CommandReceipt { was_repeated: true, ..first });
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_command_have_ids_by_their_index_and_one_append() {
    let (commands, store) = handler();
    let id = CommandId::new();
    let receipt = commands.execute(Add::each("a", [1, 2, 3]).under(id)).await.unwrap();
    let events = recorded(&store, "a").await;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let expected: Vec<_> = (0..3).map(|index| EventId::of_command(id, index)).collect();
    assert_eq!((ids, store.appends()), (expected, 1));
    assert_eq!((receipt.version.get(), receipt.position), (3, events[2].position));
}

#[tokio::test(start_paused = true)]
async fn every_event_carries_the_metadata_and_the_command() {
    let (commands, store) = handler();
    let cause = EventId::new();
    let metadata = Metadata::default()
        .with_correlation(CorrelationId::new())
        .with_causation(cause)
        .with_actor("teller-7")
        .with_header("channel", "desk");
    let add = Add::each("a", [1, 2]);
    let receipt = commands.execute_with(add, metadata.clone()).await.unwrap();
    let expected = metadata.with_command(receipt.command);
    for event in recorded(&store, "a").await {
        assert_eq!(event.metadata, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_in_the_metadata_goes_before_the_commands_own() {
    let (commands, store) = handler();
    let (own, given) = (CommandId::new(), CommandId::new());
    let metadata = Metadata::default().with_command(given);
    let add = Add::one("a", 1).under(own);
    let receipt = commands.execute_with(add, metadata).await.unwrap();
    assert_eq!(receipt.command, given);
    assert_eq!(recorded(&store, "a").await[0].metadata.command, Some(given));
}

#[tokio::test(start_paused = true)]
async fn commands_without_an_id_get_one_each() {
    let (commands, _) = handler();
    let one = commands.execute(Add::one("a", 1)).await.unwrap();
    let other = commands.execute(Add::one("a", 1)).await.unwrap();
    assert_ne!(one.command, other.command);
    assert_eq!(sum(&commands, "a").await, 2);
}
