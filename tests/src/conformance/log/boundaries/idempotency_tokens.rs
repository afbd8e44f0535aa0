//! A client sends a token with its request, and the request takes effect once however often it is
//! sent: as a rule of the domain, with a tag, and as the framework's own, with a command id.

use std::convert::Infallible;

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, CommandId, DecisionModel, Event, EventQuery,
    InvalidTag, Metadata, RecordedEvent, Selection, emit, ensure,
};

use super::super::LogFactory;
use super::super::given::everything;
use super::crowd::crowd;

#[derive(Event, Clone, Debug)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed {
        #[event(tag)]
        order: String,
        #[event(tag)]
        token: String,
    },
}

/// Whether a token was used.
#[derive(Clone)]
struct Token {
    token: String,
    is_used: bool,
}

impl DecisionModel for Token {
    type Event = OrderEvent;

    fn query(&self) -> Result<EventQuery<OrderEvent>, InvalidTag> {
        EventQuery::all().tagged("token", &self.token)
    }

    fn evolve(&mut self, _: &OrderEvent, _: &RecordedEvent) {
        self.is_used = true;
    }
}

/// How many orders there are; it makes every order depend on every other.
#[derive(Clone, Default)]
struct Orders {
    count: usize,
}

impl DecisionModel for Orders {
    type Event = OrderEvent;

    fn query(&self) -> Result<EventQuery<OrderEvent>, InvalidTag> {
        Ok(EventQuery::all())
    }

    fn evolve(&mut self, _: &OrderEvent, _: &RecordedEvent) {
        self.count += 1;
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the token was used")]
struct TokenUsed;

async fn place(
    boundaries: &Boundaries,
    order: usize,
    token: &str,
) -> Result<BoundaryReceipt, BoundaryError<TokenUsed>> {
    let decide = |state: &Token| {
        ensure!(!state.is_used, TokenUsed);
        emit(OrderEvent::Placed { order: order.to_string(), token: token.to_owned() })
    };
    boundaries.decide(Token { token: token.to_owned(), is_used: false }, decide).await
}

/// Places an order with the next free number; the number differs from run to run.
async fn place_next(
    boundaries: &Boundaries,
    command: CommandId,
) -> Result<BoundaryReceipt, BoundaryError<Infallible>> {
    let decide = |orders: &Orders| {
        let (order, token) = (orders.count.to_string(), command.to_string());
        emit(OrderEvent::Placed { order, token })
    };
    let metadata = Metadata::default().with_command(command);
    boundaries.decide_with(metadata, Orders::default(), decide).await
}

/// The second order with a token is refused, one with another token isn't.
pub async fn a_token_places_one_order(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    place(&boundaries, 1, "a").await.unwrap();
    let refused = place(&boundaries, 2, "a").await.unwrap_err();
    assert_eq!(refused.rejection(), Some(&TokenUsed));
    place(&boundaries, 2, "b").await.unwrap();
}

/// Many orders with few tokens at once: one order for each token.
pub async fn of_a_crowd_with_few_tokens_one_order_is_placed_for_each(log: &dyn LogFactory) {
    let crowd = crowd(log, 24, |boundaries, index| async move {
        place(&boundaries, index, &(index % 4).to_string()).await
    })
    .await;
    assert_eq!(crowd.receipts().len(), 4);
    assert_eq!(crowd.rejections(), vec![TokenUsed; 20]);
}

/// Many runs of few commands at once, through several handles: each command takes effect once, and
/// all of its runs answer as the first one did, though each would have decided otherwise.
pub async fn of_a_crowd_that_repeats_few_commands_each_takes_effect_once(log: &dyn LogFactory) {
    let command = |index: usize| CommandId::from_key("test", &(index % 4).to_string());
    let crowd = crowd(log, 24, move |boundaries, index| async move {
        place_next(&boundaries, command(index)).await
    })
    .await;
    let store = log.open().await;
    let events = everything(&*store, &Selection::All).await;
    assert_eq!(events.len(), 4);
    let receipts = crowd.receipts();
    assert_eq!(receipts.len(), 24);
    assert_eq!(receipts.iter().filter(|receipt| !receipt.was_repeated).count(), 4);
    for (index, receipt) in receipts.iter().enumerate() {
        let own = |event: &&RecordedEvent| event.metadata.command == Some(command(index));
        let event = events.iter().find(own).unwrap();
        assert_eq!((receipt.command, receipt.position), (command(index), event.position));
        assert_eq!(receipt.heads[0].stream, event.stream);
    }
}
