//! Chapter: consumers' places are their tenants'.

use highwater::{CheckpointError, CheckpointStore, GlobalPosition, Payload};

use super::super::log::LogFactory;
use super::super::log::given::position;
use super::two_tenants;

/// A claim in one tenant fences nobody in another, and the places move on their own.
pub async fn consumers_of_one_name_are_one_per_tenant(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let whole = log.open().await;
    let of_acme = acme.claim("totals").await.unwrap();
    let of_bolt = bolt.claim("totals").await.unwrap();
    let of_whole = whole.claim("totals").await.unwrap();
    assert_eq!((of_acme.epoch, of_bolt.epoch, of_whole.epoch), (1, 1, 1));
    let state = Payload::from_value(&"acme's").unwrap();
    acme.advance(&of_acme, position(7), Some(&state)).await.unwrap();
    bolt.advance(&of_bolt, position(3), None).await.unwrap();
    let again = acme.claim("totals").await.unwrap();
    assert_eq!((again.epoch, again.position, again.state), (2, position(7), Some(state)));
    let standing = bolt.standing("totals").await.unwrap().unwrap();
    assert_eq!((standing.epoch, standing.position), (1, position(3)));
    bolt.advance(&of_bolt, position(4), None).await.unwrap();
    assert_eq!(whole.standing("totals").await.unwrap().unwrap().position, GlobalPosition::START);
    assert_eq!(bolt.standing("others").await.unwrap(), None);
}

/// The claim, and who is fenced, bear the name that was asked for.
pub async fn a_claim_speaks_of_the_consumer_as_its_tenant_does(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let first = acme.claim("totals").await.unwrap();
    assert_eq!(first.consumer, "totals");
    acme.claim("totals").await.unwrap();
    let fenced = acme.advance(&first, position(1), None).await.unwrap_err();
    assert!(
        matches!(&fenced, CheckpointError::Fenced { consumer, epoch: 1 } if consumer == "totals"),
        "{fenced:?}"
    );
}
