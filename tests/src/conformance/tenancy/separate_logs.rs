//! The property behind the suite: two tenants of one log answer any operations as two logs would.
//!
//! Each tenant is compared with a memory store of its own. Both append with few streams, tags and
//! types, and now and then one appends exactly what the other did, event ids and all.

use std::sync::Arc;

use highwater::{EventStore, TenantStore};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::super::log::LogFactory;
use super::super::log::model::{Comparison, Step, step};
use super::tenant;

/// What one of the two does next.
#[derive(Clone, Debug)]
enum Turn {
    Own(Step),
    /// Appends what the other one did, whatever came of it there.
    Echo(usize),
}

/// Runs `cases` random sequences, each on a log of its own, through what `wall` makes of a tenant's
/// store.
///
/// # Errors
/// The shortest sequence found in which one tenant feels the other.
pub fn check<F: LogFactory>(
    cases: u32,
    fresh: impl AsyncFn() -> F,
    wall: impl Fn(TenantStore) -> TenantStore,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let turn = prop_oneof![
        4 => step().prop_map(Turn::Own),
        1 => (0..20_usize).prop_map(Turn::Echo),
    ];
    let turns = prop::collection::vec((any::<bool>(), turn), 1..30);
    let outcome = TestRunner::new(config).run(&turns, |turns| {
        runtime.block_on(async {
            let log = fresh().await;
            let mut tenants = Vec::new();
            for name in ["acme", "bolt"] {
                let store = TenantStore::new(log.open().await, &tenant(name));
                let store: Arc<dyn EventStore> = Arc::new(wall(store));
                tenants.push(Comparison::of(store));
            }
            for (is_second, turn) in turns {
                take(&mut tenants, usize::from(is_second), turn).await?;
            }
            for tenant in &tenants {
                tenant.end().await?;
            }
            Ok(())
        })
    });
    outcome.map_err(|difference| difference.to_string())
}

async fn take(tenants: &mut [Comparison], whose: usize, turn: Turn) -> Result<(), TestCaseError> {
    match turn {
        Turn::Own(step) => tenants[whose].take(&step).await,
        Turn::Echo(of) => {
            let made = &tenants[1 - whose].made;
            match made.get(of % made.len().max(1)).cloned() {
                Some(append) => tenants[whose].append(append).await,
                None => Ok(()),
            }
        }
    }
}
