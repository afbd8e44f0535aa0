//! Chapter: aggregates as they were. Snapshots at hand make no difference but in time.

use highwater::{At, CommandHandler, GlobalPosition, Loaded, RecordedEvent};

use super::given::{Account, account, deposit, version};
use crate::conformance::log::LogFactory;
use crate::conformance::log::given::whole_stream;

async fn at(commands: &CommandHandler, at: At) -> Loaded<Account> {
    commands.state_at::<Account>(&"a".to_owned(), at).await.unwrap()
}

/// A log with snapshots of the account, and events of others in between.
async fn a_past(log: &dyn LogFactory) -> (CommandHandler, Vec<RecordedEvent>) {
    let store = log.open().await;
    let commands = CommandHandler::new(store.clone());
    for cents in 0..9 {
        commands.execute(deposit(&[cents, 1])).await.unwrap();
        let others = crate::conformance::log::given::stream("other");
        let event = crate::conformance::log::given::events(1);
        store.append(crate::conformance::log::given::to_any(&others, event)).await.unwrap();
    }
    commands.snapshots_settled().await;
    let events = whole_stream(&*store, &account()).await;
    (commands, events)
}

/// Each version is the fold of the events up to it.
pub async fn every_version_is_as_it_was(log: &dyn LogFactory) {
    let (commands, events) = a_past(log).await;
    for count in 0..=events.len() {
        let loaded = at(&commands, At::Version(version(count as u64))).await;
        assert_eq!(loaded.state, Account::of(&events[..count]));
        assert_eq!(loaded.version.get(), count as u64);
    }
    let counts = commands.snapshot_counts();
    assert!(counts.loaded > 0 && counts.distrusted == 0, "{counts:?}");
    let beyond = at(&commands, At::Version(version(u64::MAX))).await;
    assert_eq!(beyond.version.get(), events.len() as u64, "beyond the end is the present");
}

/// Each position of the log, also one where nothing of the aggregate stands.
pub async fn every_position_is_as_it_was(log: &dyn LogFactory) {
    let (commands, events) = a_past(log).await;
    let head = log.open().await.high_water_mark().await.unwrap().get();
    for position in (0..=head + 1).map(GlobalPosition::new) {
        let count = events.iter().take_while(|event| event.position <= position).count();
        let loaded = at(&commands, At::Position(position)).await;
        assert_eq!(loaded.state, Account::of(&events[..count]), "position {position}");
    }
}

/// The last event that bears this time or an earlier one, and all before it.
pub async fn a_moment_is_as_it_was_recorded(log: &dyn LogFactory) {
    let (commands, events) = a_past(log).await;
    for recorded in &events {
        let moment = recorded.recorded_at;
        let count = events.iter().rposition(|event| event.recorded_at <= moment).unwrap() + 1;
        let loaded = at(&commands, At::Moment(moment)).await;
        assert_eq!(loaded.state, Account::of(&events[..count]));
    }
    let before = at(&commands, At::Moment(jiff::Timestamp::UNIX_EPOCH)).await;
    assert_eq!((before.state, before.version), (Account::default(), version(0)));
}
