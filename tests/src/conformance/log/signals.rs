//! Chapter: the signal wakes readers, and nothing depends on it.

use std::time::Duration;

use highwater::{GlobalPosition, Selection, Subscription};

use super::LogFactory;
use super::given::{appended, events, stream, to_any};

/// How long a test waits before it calls a wake-up lost. No promise is about this number.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits is woken by an append through the same handle, also by one made just before.
pub async fn an_append_wakes_a_reader_that_waits(log: &dyn LogFactory) {
    let store = log.open().await;
    let (mut before, mut during) = (store.signal(), store.signal());
    let waiting = tokio::spawn(async move { during.wait().await });
    appended(&*store, to_any(&stream("a"), events(1))).await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("woken while waiting").unwrap();
    tokio::time::timeout(PATIENCE, before.wait()).await.expect("a signal given before is kept");
}

/// Appends through another handle, which may give no signal here, are seen all the same.
pub async fn a_reader_that_no_signal_reaches_sees_everything(log: &dyn LogFactory) {
    let (writer, reader) = (log.open().await, log.open().await);
    let mut subscription = Subscription::new(reader, Selection::All, GlobalPosition::START);
    for index in 0..5 {
        let appended = appended(&*writer, to_any(&stream(&index.to_string()), events(1))).await;
        let mut seen = GlobalPosition::START;
        while seen < appended.position {
            let page = tokio::time::timeout(PATIENCE, subscription.next_page())
                .await
                .expect("seen by polling")
                .unwrap();
            seen = page.read_to;
        }
    }
}
