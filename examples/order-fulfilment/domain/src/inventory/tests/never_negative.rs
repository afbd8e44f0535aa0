//! Whatever comes in whatever order, nothing is promised that isn't there.

use std::collections::BTreeMap;

use highwater::{Command, CommandId, Decide, DecisionContext, Evolve};
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Any {
    Receive(ReceiveStock),
    Reserve(ReserveStock),
    Release(ReleaseStock),
    Ship(ShipStock),
}

/// Few orders and small numbers, so that commands meet.
fn any_command() -> impl Strategy<Value = Any> {
    let number = 0..6_u64;
    prop_oneof![
        (1..8_i64).prop_map(|quantity| Any::Receive(receive(quantity))),
        (number.clone(), 1..8_i64).prop_map(|(order, n)| Any::Reserve(reserve(order, n))),
        number.clone().prop_map(|order| Any::Release(release(order))),
        number.prop_map(|order| Any::Ship(ship(order))),
    ]
}

fn decide<C: Command<Aggregate = StockItem>>(stock: &StockItem, command: C) -> Vec<StockEvent>
where
    StockItem: Decide<C>,
{
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let context = DecisionContext::new(now, CommandId::from_key("test", "command"));
    stock.decide(command, &context).unwrap_or_default()
}

fn decide_any(stock: &StockItem, command: Any) -> Vec<StockEvent> {
    match command {
        Any::Receive(command) => decide(stock, command),
        Any::Reserve(command) => decide(stock, command),
        Any::Release(command) => decide(stock, command),
        Any::Ship(command) => decide(stock, command),
    }
}

/// Counts pieces by the events alone, in numbers that may fall below zero.
#[derive(Default)]
struct Ledger {
    on_hand: i64,
    set_aside: BTreeMap<OrderId, i64>,
    left: BTreeMap<OrderId, i64>,
}

impl Ledger {
    fn book(&mut self, event: &StockEvent) {
        let of = |quantity: &Quantity| i64::from(*quantity);
        match event {
            StockEvent::Received { quantity, .. } => self.on_hand += of(quantity),
            StockEvent::Reserved { order, quantity, .. } => {
                *self.set_aside.entry(*order).or_default() += of(quantity);
            }
            StockEvent::Released { order, quantity, .. } => {
                *self.set_aside.entry(*order).or_default() -= of(quantity);
            }
            StockEvent::ReservationBarred { .. } => {}
            StockEvent::Shipped { order, quantity, .. } => {
                self.on_hand -= of(quantity);
                *self.set_aside.entry(*order).or_default() -= of(quantity);
                *self.left.entry(*order).or_default() += of(quantity);
            }
        }
    }

    fn free(&self) -> i64 {
        self.on_hand - self.set_aside.values().sum::<i64>()
    }
}

proptest! {
    #[test]
    fn stock_is_never_negative(commands in prop::collection::vec(any_command(), 0..60)) {
        let (mut stock, mut ledger) = (StockItem::default(), Ledger::default());
        for command in commands {
            for event in decide_any(&stock, command) {
                stock.evolve(&event);
                ledger.book(&event);
            }
            prop_assert!(ledger.on_hand >= 0 && ledger.free() >= 0);
            prop_assert!(ledger.set_aside.values().all(|&pieces| pieces >= 0));
            prop_assert_eq!(i64::try_from(stock.on_hand()), Ok(ledger.on_hand));
            prop_assert_eq!(i64::try_from(stock.available()), Ok(ledger.free()));
        }
    }

    #[test]
    fn what_is_asked_twice_is_done_once(
        before in prop::collection::vec(any_command(), 0..30),
        asked in any_command().prop_filter("deliveries may look alike", |command| {
            !matches!(command, Any::Receive(_))
        }),
        between in prop::collection::vec(any_command(), 0..30),
    ) {
        let mut stock = StockItem::default();
        let run = |stock: &mut StockItem, command: Any| {
            let events = decide_any(stock, command);
            events.iter().for_each(|event| stock.evolve(event));
            !events.is_empty()
        };
        for command in before {
            run(&mut stock, command);
        }
        let was_done = run(&mut stock, asked.clone());
        for command in between {
            run(&mut stock, command);
        }
        prop_assert!(!(was_done && run(&mut stock, asked)));
    }
}
