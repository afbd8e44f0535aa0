//! Simulated providers outside the service: one takes payments, one ships parcels.
//!
//! Like real ones they are slow at times, say no at times, and recognise a repeated request by its
//! key: the answer depends on the key alone, so a repetition gets the first answer, also after the
//! service was killed in between.

use std::time::Duration;

use highwater::CommandId;

/// How a provider behaves.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// Which part of the requests it refuses, 0 to 1.
    pub failure_rate: f64,
    /// How long it takes to answer, at most.
    pub max_delay: Duration,
}

/// What a provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did what was asked.
    Done,
    /// It refused, for good.
    Refused,
}

/// A provider that answers by its [`Behaviour`].
#[derive(Clone, Copy, Debug)]
pub struct SimulatedProvider {
    behaviour: Behaviour,
}

impl SimulatedProvider {
    /// A provider that behaves so.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour }
    }

    /// Asks for something under a key that names this request for ever.
    pub async fn request(&self, key: CommandId) -> Answer {
        self.think(key).await;
        if fraction_of(key, 1) < self.behaviour.failure_rate {
            Answer::Refused
        } else {
            Answer::Done
        }
    }

    /// Takes back what was asked for, or makes sure that it won't happen. Never refused.
    pub async fn undo(&self, key: CommandId) {
        self.think(key).await;
    }

    async fn think(&self, key: CommandId) {
        tokio::time::sleep(self.behaviour.max_delay.mul_f64(fraction_of(key, 0))).await;
    }
}

/// A number from 0 to 1 that looks random and depends on the key alone.
fn fraction_of(key: CommandId, salt: usize) -> f64 {
    let mixed = highwater::EventId::of_command(key, salt).as_uuid().as_u128() as u32;
    f64::from(mixed) / f64::from(u32::MAX)
}
