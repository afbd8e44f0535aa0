//! Each way in which a command fails for a reason that isn't business, brought about for real.

use std::error::Error;
use std::sync::atomic::Ordering;

use super::ledger::Odd;
use super::tally::{NOT_TAGGABLE, NOT_WRITABLE};
use super::*;
use crate::{DecodeError, EncodeError, InvalidAppend, InvalidStreamId};

async fn failure(commands: &CommandHandler, command: Add) -> TallyError {
    let error = commands.execute(command).await.unwrap_err();
    assert!(error.rejection().is_none() && error.source().is_some(), "{error:?}");
    error
}

#[tokio::test(start_paused = true)]
async fn a_target_that_can_name_no_stream_is_refused_before_the_store_is_asked() {
    let (commands, store) = handler();
    let too_long = "x".repeat(600);
    for key in ["", "nul\0", "line\nfeed", "\u{7f}", "\u{85}", &too_long] {
        let error = failure(&commands, Add::one(key, 1)).await;
        assert!(matches!(error, CommandError::Target(_)), "{key:?}: {error:?}");
        assert!(!error.is_retryable());
        assert!(error.to_string().len() < 200, "a hostile id fills no log");
        let loaded = commands.load::<Tally>(&key.to_owned()).await;
        assert!(matches!(loaded, Err(CommandError::Target(_))), "{key:?}");
    }
    let error = failure(&commands, Add::one("", 1)).await;
    assert!(matches!(error, CommandError::Target(InvalidStreamId::EmptyKey(_))), "{error:?}");
    assert_eq!((store.reads(), store.appends()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_only_looks_hostile_is_a_name_like_any_other() {
    let (commands, _) = handler();
    for key in ["a-b", "-", "../../etc", "'; DROP TABLE event; --", "%00", "ä", "👩‍🚀", " "]
    {
        commands.execute(Add::one(key, 1)).await.unwrap();
        assert_eq!(sum(&commands, key).await, 1, "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_or_answers_nonsense_fails_the_load() {
    for (fault, may_succeed_later) in [(ReadFault::Unavailable, true), (ReadFault::Corrupt, false)]
    {
        let (commands, store) = handler();
        store.fail_next_read(fault.clone());
        let error = failure(&commands, Add::one("a", 1)).await;
        assert!(matches!(error, CommandError::Load { .. }), "{error:?}");
        assert_eq!(error.is_retryable(), may_succeed_later);
        store.fail_next_read(fault);
        let loaded = commands.load::<Tally>(&"a".to_owned()).await;
        assert!(matches!(loaded, Err(CommandError::Load { .. })), "{loaded:?}");
        assert_eq!(store.appends(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_the_program_does_not_understand_decides_nothing() {
    let unknown = NewEvent::new("removed", &1).unwrap();
    let malformed = NewEvent::new("added", &"a text").unwrap();
    for event in [unknown, malformed] {
        let (commands, store) = handler();
        let of_type = event.event_type.clone();
        store.append(Append::to(stream("a"), ExpectedVersion::Any, vec![event])).await.unwrap();
        let error = failure(&commands, Add::one("a", 1)).await;
        let CommandError::Decode { stream: of, source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(of, &stream("a"));
        match (of_type.as_str(), source) {
            ("removed", DecodeError::UnknownType { event_type, .. })
            | ("added", DecodeError::Malformed { event_type, .. }) => {
                assert_eq!(event_type, of_type.as_str());
            }
            (_, other) => panic!("{other:?}"),
        }
        assert!(!error.is_retryable());
        assert_eq!(store.appends(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_not_be_written_leaves_nothing_of_its_command() {
    let (commands, store) = handler();
    let error = failure(&commands, Add::each("a", [1, NOT_WRITABLE])).await;
    assert!(
        matches!(&error, CommandError::Encode { source: EncodeError::Data { .. }, .. }),
        "{error:?}"
    );
    let error = failure(&commands, Add::each("a", [1, NOT_TAGGABLE])).await;
    assert!(
        matches!(&error, CommandError::Encode { source: EncodeError::Tag { .. }, .. }),
        "{error:?}"
    );
    assert!(!error.is_retryable());
    assert_eq!(store.appends(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_fails_is_not_tried_again_and_says_whether_that_may_help() {
    let id = CommandId::new();
    for (fault, may_succeed_later) in [
        (Fault::Unavailable, true),
        (Fault::LostBeforeCommit, true),
        (Fault::LostAfterCommit, true),
        (Fault::Refused, false),
    ] {
        let (commands, store) = handler();
        store.fail_next_append(fault);
        let error = failure(&commands, Add::one("a", 1).under(id)).await;
        assert!(
            matches!(error, CommandError::Append { command, .. } if command == id),
            "{error:?}"
        );
        assert_eq!((error.is_retryable(), store.appends()), (may_succeed_later, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_emits_more_than_one_append_may_hold_fails_for_good() {
    let (commands, store) = handler();
    let error = failure(&commands, Add::each("a", std::iter::repeat_n(0, 10_001))).await;
    let CommandError::Append { source: AppendError::Invalid(source), .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*source, InvalidAppend::TooManyEvents { events: 10_001 });
    assert!(!error.is_retryable());
    assert!(recorded(&store, "a").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_closed_takes_no_command() {
    let (commands, store) = handler();
    store.close().await;
    let error = failure(&commands, Add::one("a", 1)).await;
    assert!(
        matches!(&error, CommandError::Append { source: AppendError::Closed, .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_an_id_is_looked_into_is_a_failed_load() {
    let store = Arc::new(Odd::default());
    let commands = CommandHandler::new(store.clone());
    let id = CommandId::new();
    commands.execute(Add::one("a", 1).under(id)).await.unwrap();
    store.finds_nothing.store(true, Ordering::SeqCst);
    let error = failure(&commands, Add::one("b", 1).under(id)).await;
    let is_load =
        matches!(&error, CommandError::Load { source: ReadError::Unavailable { .. }, .. });
    assert!(is_load && error.is_retryable(), "{error:?}");
}
