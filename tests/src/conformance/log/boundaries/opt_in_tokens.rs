//! Who signs up is sent a token, and confirms with it: once, and only the latest one counts.

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, DecisionModel, Event, EventQuery, InvalidTag,
    RecordedEvent, emit, ensure,
};

use super::super::LogFactory;
use super::crowd::crowd;

#[derive(Event, Clone, Debug)]
enum SignUpEvent {
    #[event(name = "sign_up.requested")]
    Requested {
        #[event(tag)]
        address: String,
        #[event(tag)]
        token: String,
    },
    #[event(name = "sign_up.confirmed")]
    Confirmed {
        #[event(tag)]
        address: String,
        #[event(tag)]
        token: String,
    },
}

/// What became of the sign-up of one address.
#[derive(Clone)]
struct SignUp {
    address: &'static str,
    open_token: Option<String>,
    confirmed: Vec<String>,
}

impl DecisionModel for SignUp {
    type Event = SignUpEvent;

    fn query(&self) -> Result<EventQuery<SignUpEvent>, InvalidTag> {
        EventQuery::all().tagged("address", self.address)
    }

    fn evolve(&mut self, event: &SignUpEvent, _: &RecordedEvent) {
        match event {
            SignUpEvent::Requested { token, .. } => self.open_token = Some(token.clone()),
            SignUpEvent::Confirmed { token, .. } => {
                self.open_token = None;
                self.confirmed.push(token.clone());
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum NotConfirmed {
    #[error("the token was used")]
    Used,
    #[error("the token was never sent, or a later one was")]
    Unknown,
}

type Answer = Result<BoundaryReceipt, BoundaryError<NotConfirmed>>;

fn of(address: &'static str) -> SignUp {
    SignUp { address, open_token: None, confirmed: Vec::new() }
}

async fn request(boundaries: &Boundaries, address: &'static str, token: &str) {
    let requested = SignUpEvent::Requested { address: address.to_owned(), token: token.to_owned() };
    boundaries.load(of(address)).await.unwrap().append([requested]).await.unwrap();
}

async fn confirm(boundaries: &Boundaries, address: &'static str, token: &str) -> Answer {
    let decide = |sign_up: &SignUp| {
        ensure!(!sign_up.confirmed.iter().any(|used| used == token), NotConfirmed::Used);
        ensure!(sign_up.open_token.as_deref() == Some(token), NotConfirmed::Unknown);
        emit(SignUpEvent::Confirmed { address: address.to_owned(), token: token.to_owned() })
    };
    boundaries.decide(of(address), decide).await
}

/// A token is good for one address and one time, and a later one replaces it.
pub async fn a_token_is_valid_once_and_only_until_the_next_is_sent(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    request(&boundaries, "ada@home", "t-1").await;
    request(&boundaries, "bob@home", "t-2").await;
    request(&boundaries, "ada@home", "t-3").await;
    let refused = async |address, token| {
        confirm(&boundaries, address, token).await.unwrap_err().rejection().unwrap().clone()
    };
    assert_eq!(refused("ada@home", "t-1").await, NotConfirmed::Unknown);
    assert_eq!(refused("ada@home", "t-2").await, NotConfirmed::Unknown);
    confirm(&boundaries, "ada@home", "t-3").await.unwrap();
    assert_eq!(refused("ada@home", "t-3").await, NotConfirmed::Used);
    confirm(&boundaries, "bob@home", "t-2").await.unwrap();
}

/// The link in the mail is opened in many places at once: it confirms once.
pub async fn of_a_crowd_with_one_token_one_confirms(log: &dyn LogFactory) {
    request(&Boundaries::new(log.open().await), "ada@home", "t-1").await;
    let crowd =
        crowd(
            log,
            16,
            |boundaries, _| async move { confirm(&boundaries, "ada@home", "t-1").await },
        )
        .await;
    assert_eq!(crowd.receipts().len(), 1);
    assert_eq!(crowd.rejections(), vec![NotConfirmed::Used; 15]);
}
