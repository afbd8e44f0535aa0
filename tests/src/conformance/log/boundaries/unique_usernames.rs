//! A name belongs to one account at a time; once it is released, another may claim it.

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, DecisionModel, Event, EventQuery, InvalidTag,
    RecordedEvent, emit, ensure,
};

use super::super::LogFactory;
use super::crowd::crowd;

#[derive(Event, Clone, Debug)]
enum UsernameEvent {
    #[event(name = "username.claimed")]
    Claimed {
        #[event(tag)]
        username: String,
        account: usize,
    },
    #[event(name = "username.released")]
    Released {
        #[event(tag)]
        username: String,
    },
}

/// Whose a name is.
#[derive(Clone)]
struct Owner {
    username: &'static str,
    account: Option<usize>,
}

impl DecisionModel for Owner {
    type Event = UsernameEvent;

    fn query(&self) -> Result<EventQuery<UsernameEvent>, InvalidTag> {
        EventQuery::all().tagged("username", self.username)
    }

    fn evolve(&mut self, event: &UsernameEvent, _: &RecordedEvent) {
        self.account = match event {
            UsernameEvent::Claimed { account, .. } => Some(*account),
            UsernameEvent::Released { .. } => None,
        };
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum NameRefused {
    #[error("the name is taken")]
    Taken,
    #[error("the name belongs to somebody else")]
    NotYours,
}

type Answer = Result<BoundaryReceipt, BoundaryError<NameRefused>>;

fn of(username: &'static str) -> Owner {
    Owner { username, account: None }
}

async fn claim(boundaries: &Boundaries, username: &'static str, account: usize) -> Answer {
    let decide = |owner: &Owner| {
        ensure!(owner.account.is_none(), NameRefused::Taken);
        emit(UsernameEvent::Claimed { username: username.to_owned(), account })
    };
    boundaries.decide(of(username), decide).await
}

async fn release(boundaries: &Boundaries, username: &'static str, account: usize) -> Answer {
    let decide = |owner: &Owner| {
        ensure!(owner.account == Some(account), NameRefused::NotYours);
        emit(UsernameEvent::Released { username: username.to_owned() })
    };
    boundaries.decide(of(username), decide).await
}

/// A claimed name is refused, a released one may be claimed again, and only its owner releases it.
pub async fn a_name_is_taken_until_its_owner_releases_it(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    claim(&boundaries, "ada", 1).await.unwrap();
    claim(&boundaries, "bob", 2).await.unwrap();
    let taken = claim(&boundaries, "ada", 2).await.unwrap_err();
    assert_eq!(taken.rejection(), Some(&NameRefused::Taken));
    let foreign = release(&boundaries, "ada", 2).await.unwrap_err();
    assert_eq!(foreign.rejection(), Some(&NameRefused::NotYours));
    release(&boundaries, "ada", 1).await.unwrap();
    claim(&boundaries, "ada", 2).await.unwrap();
    assert_eq!(boundaries.load(of("ada")).await.unwrap().state().account, Some(2));
}

/// Many want a name at the same moment, and after it was released many want it again: one gets it
/// each time.
pub async fn of_a_crowd_one_gets_the_name_and_one_again_when_it_is_released(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    for _ in 0..3 {
        let crowd = crowd(log, 16, |boundaries, account| async move {
            claim(&boundaries, "ada", account).await
        })
        .await;
        assert_eq!(crowd.receipts().len(), 1);
        assert_eq!(crowd.rejections(), vec![NameRefused::Taken; 15]);
        let owner = boundaries.load(of("ada")).await.unwrap().state().account.unwrap();
        assert!(crowd.answers[owner].is_ok(), "the owner was told so");
        release(&boundaries, "ada", owner).await.unwrap();
    }
}
