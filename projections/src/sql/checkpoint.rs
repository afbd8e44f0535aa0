//! A read model's checkpoint: which row it is, and what a row says.

use highwater_core::GlobalPosition;

use crate::Standing;

/// Names one checkpoint.
#[derive(Clone, Copy)]
pub struct Checkpoint {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

/// What a row (epoch, position) says; a checkpoint that isn't there has epoch 0.
pub(crate) fn standing(row: Option<(i64, i64)>) -> Standing {
    row.map_or(Standing::default(), |(epoch, position)| Standing {
        epoch: epoch.cast_unsigned(),
        position: GlobalPosition::new(position.cast_unsigned()),
        ..Standing::default()
    })
}
