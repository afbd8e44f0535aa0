//! What a command did when it was decided before.

use super::boundaries::BoundaryReceipt;
use crate::{CommandId, EventId, EventStore, ReadError, RecordedEvent, StreamHead};

/// How many event ids are looked for at a time. Few commands emit more.
const IDS_AT_A_TIME: usize = 64;

/// The outcome of the first run of `command`, if one appended anything.
///
/// Its events carry the ids 0, 1, 2 … of the command and became visible together, so the first id
/// that is missing ends them.
pub(super) async fn first_outcome(
    store: &dyn EventStore,
    command: CommandId,
) -> Result<Option<BoundaryReceipt>, ReadError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let first = events.len();
        let ids: Vec<_> = (first..first + IDS_AT_A_TIME)
            .map(|index| EventId::of_command(command, index))
            .collect();
        let found = store.find(&ids).await?;
        let is_last = found.len() < IDS_AT_A_TIME;
        events.extend(found);
        if is_last {
            return Ok(outcome(command, &events));
        }
    }
}

fn outcome(command: CommandId, events: &[RecordedEvent]) -> Option<BoundaryReceipt> {
    let position = events.iter().map(|event| event.position).max()?;
    let mut in_order: Vec<_> = events.iter().collect();
    in_order.sort_unstable_by_key(|event| event.position);
    let mut heads: Vec<StreamHead> = Vec::new();
    for event in in_order {
        match heads.iter_mut().find(|head| head.stream == event.stream) {
            Some(head) => head.version = event.version,
            None => {
                heads.push(StreamHead { stream: event.stream.clone(), version: event.version });
            }
        }
    }
    Some(BoundaryReceipt { command, position, heads, was_repeated: true })
}
