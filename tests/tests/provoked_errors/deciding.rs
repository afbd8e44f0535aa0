//! What commands and boundaries answer, on SQLite and on PostgreSQL.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::postgres::{PostgresOptions, PostgresStore};
use highwater::sqlite::SqliteStore;
use highwater::{
    Append, AppendError, AppendWithinError, Appended, Boundaries, Boundary, BoundaryError,
    CheckpointError, CommandError, CommandHandler, CommandId, DecodeError, EncodeError, EventStore,
    ExpectedVersion, GlobalPosition, InvalidAppend, LoadBoundaryError, Metadata, NewEvent,
    ReadError, Selection, StoreLayer, StreamId, Tag, UnfiledEvent,
};
use highwater_tests::conformance::log::given::everything;
use highwater_tests::services::{self, Database};
use tempfile::TempDir;

use super::library::{Ask, Book, BookEvent, IsClosed, Loans, Wish, lent, unwritable};

/// A log, and a way past it to what it is stored in.
struct Log {
    store: Arc<dyn EventStore>,
    keeps: Keeps,
}

enum Keeps {
    Database(Database),
    Folder(TempDir),
}

impl Log {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(folder.path().join("log.db")).await.expect("a log");
        Self { store, keeps: Keeps::Folder(folder) }
    }

    async fn postgres() -> Self {
        let database = services::postgres().await.fresh_database().await;
        let options = PostgresOptions::new().with_statement_timeout(Duration::from_secs(20));
        let store = PostgresStore::connect_with(database.url(), options).await.expect("a log");
        Self { store, keeps: Keeps::Database(database) }
    }

    fn commands(&self) -> CommandHandler {
        CommandHandler::new(self.store.clone())
    }

    fn boundaries(&self) -> Boundaries {
        Boundaries::new(self.store.clone())
    }

    /// Does damage behind the store's back.
    async fn damage(&self, sqlite: &str, postgres: &str) {
        use sqlx::Connection;
        match &self.keeps {
            Keeps::Folder(folder) => {
                let url = format!("sqlite://{}", folder.path().join("log.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a file");
                let statement = sqlx::AssertSqlSafe(sqlite.to_owned());
                sqlx::raw_sql(statement).execute(&mut connection).await.expect("damage");
            }
            Keeps::Database(database) => {
                let mut connection =
                    sqlx::PgConnection::connect(database.url()).await.expect("a database");
                let statement = sqlx::AssertSqlSafe(postgres.to_owned());
                sqlx::raw_sql(statement).execute(&mut connection).await.expect("damage");
            }
        }
    }

    async fn is_empty(&self) -> bool {
        everything(&*self.store, &Selection::All).await.is_empty()
    }
}

/// Each test on each store, under the store's name.
macro_rules! on_every_store {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() { super::$test(super::Log::sqlite().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() { super::$test(super::Log::postgres().await).await; })*
        }
    };
}

on_every_store! {
    an_aggregate_says_no,
    a_command_that_is_always_overtaken_is_contended,
    a_decision_that_is_always_overtaken_is_contended,
    a_command_id_that_was_used_for_something_else_is_taken,
    a_target_of_10_kilobytes_or_with_a_nul_is_refused_and_not_repeated_whole,
    a_history_that_is_not_understood_decides_nothing,
    an_event_that_can_not_be_written_appends_nothing,
    a_command_that_emits_too_much_appends_nothing,
    a_boundary_about_what_can_be_no_tag_is_not_loaded,
    an_event_without_a_stream_is_not_filed,
    a_boundary_that_was_overtaken_appends_nothing,
    a_damaged_event_is_named_and_fails_what_needs_it,
    a_log_that_is_gone_can_not_be_read,
}

async fn an_aggregate_says_no(log: Log) {
    let error = log.commands().execute(Ask::new("faust", Wish::Reject)).await.expect_err("no");
    assert!(matches!(error, CommandError::Rejected(IsClosed)), "{error:?}");
    assert!(!error.is_retryable());
    let boundaries = log.boundaries();
    let decided = boundaries.decide(Loans::of("faust"), |_| Err::<Vec<BookEvent>, _>(IsClosed));
    let error = decided.await.expect_err("no");
    assert!(matches!(error, BoundaryError::Rejected(IsClosed)), "{error:?}");
    assert!(log.is_empty().await);
}

/// Somebody else is always a little faster: before each append, another one to the same book.
struct Rival(Arc<dyn EventStore>);

#[async_trait]
impl StoreLayer for Rival {
    fn inner(&self) -> &dyn EventStore {
        &*self.0
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let stream = append.streams()[0].stream.clone();
        let event = NewEvent::from_event(&lent(stream.key())).expect("an event");
        self.0.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await?;
        self.0.append(append).await
    }
}

async fn a_command_that_is_always_overtaken_is_contended(log: Log) {
    let commands = CommandHandler::new(Arc::new(Rival(log.store.clone())));
    let error = commands.execute(Ask::new("faust", Wish::Lend(1))).await.expect_err("overtaken");
    assert!(matches!(error, CommandError::Contended { attempts: 10, .. }), "{error:?}");
    assert!(error.is_retryable());
    let of_rivals = everything(&*log.store, &Selection::All).await;
    assert_eq!(of_rivals.len(), 10);
}

async fn a_decision_that_is_always_overtaken_is_contended(log: Log) {
    let boundaries = Boundaries::new(Arc::new(Rival(log.store.clone())));
    let decided = boundaries.decide(Loans::of("faust"), |_| Ok::<_, IsClosed>(vec![lent("faust")]));
    let error = decided.await.expect_err("overtaken");
    assert!(matches!(error, BoundaryError::Contended { attempts: 10, .. }), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 10);
}

async fn a_command_id_that_was_used_for_something_else_is_taken(log: Log) {
    let metadata = || Metadata::default().with_command(CommandId::from_key("test", "one"));
    let commands = log.commands();
    commands.execute_with(Ask::new("faust", Wish::Lend(1)), metadata()).await.expect("the first");
    let second = commands.execute_with(Ask::new("emma", Wish::Lend(1)), metadata()).await;
    let error = second.expect_err("another book under the same id");
    assert!(matches!(error, CommandError::IdTaken { .. }), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 1);
}

async fn a_target_of_10_kilobytes_or_with_a_nul_is_refused_and_not_repeated_whole(log: Log) {
    for hostile in ["", "a\0b", &"'\"🦀".repeat(1_700)] {
        let error = log.commands().execute(Ask::new(hostile, Wish::Lend(1))).await;
        let error = error.expect_err("no name for a stream");
        assert!(matches!(error, CommandError::Target(_)), "{error:?}");
        assert!(!error.is_retryable());
        let told = format!("{error} {:?}", error.source().map(ToString::to_string));
        assert!(told.len() < 400, "{} bytes of {hostile:?}", told.len());
    }
    assert!(log.is_empty().await);
}

async fn a_history_that_is_not_understood_decides_nothing(log: Log) {
    type Is = fn(&DecodeError) -> bool;
    let cases: [(&str, u32, Is); 3] = [
        ("book.burnt", 1, |error| matches!(error, DecodeError::UnknownType { .. })),
        ("book.lent", 9, |error| matches!(error, DecodeError::UnknownVersion { .. })),
        ("book.lent", 1, |error| matches!(error, DecodeError::Malformed { .. })),
    ];
    for (number, (event_type, version, is_it)) in cases.into_iter().enumerate() {
        let book = format!("foreign {number}");
        let mut event = NewEvent::new(event_type, &"a text")
            .expect("a text is JSON")
            .with_tag(Tag::new("book", &book).expect("a tag"));
        event.schema_version = version;
        let stream = StreamId::new("book", &book).expect("a name");
        log.store
            .append(Append::to(stream, ExpectedVersion::Any, vec![event]))
            .await
            .expect("kept");
        let error = log.commands().execute(Ask::new(&book, Wish::Lend(1))).await;
        match error.expect_err("nobody understands it") {
            CommandError::Decode { source, .. } => assert!(is_it(&source), "{source:?}"),
            other => panic!("{other:?}"),
        }
        // A boundary doesn't ask for types that it doesn't know.
        if event_type == "book.lent" {
            match Boundary::load(log.store.clone(), Loans::of(&book)).await.map(drop) {
                Err(LoadBoundaryError::Decode { source, .. }) => assert!(is_it(&source)),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 3);
}

async fn an_event_that_can_not_be_written_appends_nothing(log: Log) {
    for (event, is_data) in [(unwritable("faust"), true), (lent("a\0b"), false)] {
        let error = log.commands().execute(Ask::new("faust", Wish::Emit(event))).await;
        match error.expect_err("it can't be written") {
            CommandError::Encode { source: EncodeError::Data { .. }, .. } => assert!(is_data),
            CommandError::Encode { source: EncodeError::Tag { .. }, .. } => assert!(!is_data),
            other => panic!("{other:?}"),
        }
    }
    assert!(log.is_empty().await);
}

async fn a_command_that_emits_too_much_appends_nothing(log: Log) {
    let too_many = |source: &AppendError| {
        matches!(source, AppendError::Invalid(InvalidAppend::TooManyEvents { events: 10_001 }))
    };
    let error = log.commands().execute(Ask::new("faust", Wish::Lend(10_001))).await;
    let error = error.expect_err("too many events");
    assert!(matches!(&error, CommandError::Append { source, .. } if too_many(source)), "{error:?}");
    assert!(!error.is_retryable());
    let boundaries = log.boundaries();
    let decided = boundaries.decide(Loans::of("faust"), |_| {
        Ok::<_, IsClosed>((0..10_001).map(|_| lent("faust")).collect())
    });
    let error = decided.await.expect_err("too many events");
    assert!(
        matches!(&error, BoundaryError::Append { source, .. } if too_many(source)),
        "{error:?}"
    );
    assert!(log.is_empty().await);
}

async fn a_boundary_about_what_can_be_no_tag_is_not_loaded(log: Log) {
    for hostile in ["", "a\0b", &"x".repeat(10_000)] {
        let loaded = Boundary::load(log.store.clone(), Loans::of(hostile)).await.map(drop);
        assert!(matches!(loaded, Err(LoadBoundaryError::Query(_))), "{loaded:?}");
        let boundaries = log.boundaries();
        let decided = boundaries.decide(Loans::of(hostile), |_| Ok::<_, IsClosed>(vec![lent("a")]));
        let error = decided.await.expect_err("no tag");
        assert!(matches!(error, BoundaryError::Load(LoadBoundaryError::Query(_))), "{error:?}");
        assert!(!error.is_retryable());
    }
    assert!(log.is_empty().await);
}

async fn an_event_without_a_stream_is_not_filed(log: Log) {
    type Is = fn(&UnfiledEvent) -> bool;
    let cases: [(BookEvent, Is); 4] = [
        (unwritable("faust"), |it| matches!(it, UnfiledEvent::Encode(_))),
        (BookEvent::Forgotten { at: 1 }, |it| matches!(it, UnfiledEvent::NoTag { .. })),
        (BookEvent::Shelved { _shelf: "A 7".to_owned() }, |it| {
            matches!(it, UnfiledEvent::Stream { .. })
        }),
        // No tag, so no stream either: the tag is what fails first.
        (lent(&"x".repeat(10_000)), |it| {
            matches!(it, UnfiledEvent::Encode(EncodeError::Tag { .. }))
        }),
    ];
    for (event, is_it) in cases {
        let boundary = Boundary::load(log.store.clone(), Loans::of("faust")).await.expect("loaded");
        match boundary.append([event.clone()]).await {
            Err(AppendWithinError::Unfiled(source)) => assert!(is_it(&source), "{source:?}"),
            other => panic!("{other:?}"),
        }
        let decide = |_: &Loans| Ok::<_, IsClosed>(vec![event.clone()]);
        match log.boundaries().decide(Loans::of("faust"), decide).await {
            Err(BoundaryError::Unfiled(source)) => assert!(is_it(&source), "{source:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(log.is_empty().await);
}

async fn a_boundary_that_was_overtaken_appends_nothing(log: Log) {
    let load = || Boundary::load(log.store.clone(), Loans::of("faust"));
    let (mine, theirs) = (load().await.expect("loaded"), load().await.expect("loaded"));
    mine.append([lent("faust")]).await.expect("the first");
    let error = theirs.append([lent("faust")]).await.expect_err("overtaken");
    assert!(matches!(error, AppendWithinError::Append(AppendError::ConditionFailed)), "{error:?}");
    assert!(error.is_conflict() && !error.is_retryable());
}

async fn a_damaged_event_is_named_and_fails_what_needs_it(log: Log) {
    for book in ["whole", "torn"] {
        log.commands().execute(Ask::new(book, Wish::Lend(1))).await.expect("lent");
    }
    log.damage(
        "UPDATE highwater_events SET data = '{\"torn' WHERE position = 2",
        "UPDATE highwater.events SET schema_version = -1 WHERE position = 2",
    )
    .await;
    let read = log.store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    let error = read.expect_err("damaged");
    assert!(
        matches!(&error, ReadError::Corrupt { position, .. } if position.get() == 2),
        "{error:?}"
    );
    assert!(!error.is_retryable());
    let whole = log.commands().load::<Book>(&"whole".to_owned()).await.expect("not damaged");
    assert_eq!(whole.state.times_lent, 1);
    // Another handler, which doesn't know the state yet.
    let error = log.commands().execute(Ask::new("torn", Wish::Lend(1))).await.expect_err("damaged");
    assert!(
        matches!(&error, CommandError::Load { source: ReadError::Corrupt { .. }, .. }),
        "{error:?}"
    );
    assert!(!error.is_retryable());
}

async fn a_log_that_is_gone_can_not_be_read(log: Log) {
    let claim = log.store.claim("relay").await.expect("a claim");
    log.damage(
        "ALTER TABLE highwater_events RENAME TO gone; ALTER TABLE highwater_checkpoints RENAME TO gone_too",
        "ALTER SCHEMA highwater RENAME TO gone",
    )
    .await;
    let read = log.store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    let error = log.commands().execute(Ask::new("faust", Wish::Lend(1))).await.expect_err("gone");
    assert!(
        matches!(&error, CommandError::Load { source: ReadError::Unavailable { .. }, .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
    let loaded = Boundary::load(log.store.clone(), Loans::of("faust")).await.map(drop);
    assert!(matches!(loaded, Err(LoadBoundaryError::Read(_))), "{loaded:?}");
    let advanced = log.store.advance(&claim, GlobalPosition::new(1), None).await;
    assert!(matches!(advanced, Err(CheckpointError::Unavailable { .. })), "{advanced:?}");
    let event = NewEvent::from_event(&lent("faust")).expect("an event");
    let stream = StreamId::new("book", "faust").expect("a name");
    let append = Append::to(stream, ExpectedVersion::Any, vec![event]);
    let error = log.store.append(append.clone()).await.expect_err("gone");
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    log.damage(
        "ALTER TABLE gone RENAME TO highwater_events; ALTER TABLE gone_too RENAME TO highwater_checkpoints",
        "ALTER SCHEMA gone RENAME TO highwater",
    )
    .await;
    assert!(!log.store.append(append).await.expect("it is back").was_repeated);
}
