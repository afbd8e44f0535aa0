//! Chapter, for stores that outlive their process.

use super::given::{load, save, snapshot, stream};
use crate::conformance::log::LogFactory;

/// As it was saved.
pub async fn a_snapshot_is_there_when_the_log_is_opened_again(log: &dyn LogFactory) {
    let (store, saved) = (log.open().await, snapshot(&stream("a"), 12));
    save(&*store, &saved, 1).await;
    store.close().await;
    drop(store);
    assert_eq!(load(&*log.open().await, &stream("a"), u64::MAX).await, Some(saved));
}
