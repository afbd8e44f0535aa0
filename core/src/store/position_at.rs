//! From a moment to a position.

use jiff::Timestamp;

use super::{EventStore, ReadError};
use crate::{GlobalPosition, Selection};

/// How many events are read at a time.
const PAGE_SIZE: usize = 1_000;

/// The position of the last event of the whole log that was recorded at or before `moment`;
/// [`GlobalPosition::START`] if there is none. Everything at or before that position belongs to the
/// moment, whatever time it bears.
///
/// Times are for people: they are what the store's clock said, and a clock that jumped makes later
/// events bear earlier times. So the whole log is looked through, which takes as long as a replay.
///
/// # Errors
/// [`ReadError`].
///
/// # Cancel safety
/// Changes nothing.
pub async fn position_at(
    store: &dyn EventStore,
    moment: Timestamp,
) -> Result<GlobalPosition, ReadError> {
    let (mut last, mut read_to) = (GlobalPosition::START, GlobalPosition::START);
    loop {
        let page = store.read_all(&Selection::All, read_to, PAGE_SIZE).await?;
        for event in page.events.iter().rev() {
            if event.recorded_at <= moment {
                last = event.position;
                break;
            }
        }
        read_to = page.read_to;
        if page.is_last {
            return Ok(last);
        }
    }
}
