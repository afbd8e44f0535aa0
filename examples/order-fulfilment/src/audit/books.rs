//! The books: what the log says about every order, payment and shelf.

use std::collections::{BTreeMap, HashMap, HashSet};

use highwater::{DecodeError, EventId, GlobalPosition, RecordedEvent, StreamId, StreamVersion};
use order_domain::inventory::StockEvent;
use order_domain::orders::OrderEvent;
use order_domain::payments::PaymentEvent;

use super::{Audit, is_final};
use crate::read_models::order_status::status_behind;

/// What the log says about one order.
#[derive(Default)]
pub struct OrderBook {
    /// The status behind its last event.
    pub status: &'static str,
    /// What it costs.
    pub total_cents: i64,
    /// How many events it has.
    pub changes: i64,
    endings: u32,
    charged: i64,
    refunded: i64,
    charges: u32,
}

/// What the log says about one shelf.
#[derive(Default)]
struct ShelfBook {
    on_hand: i64,
    reserved: i64,
    was_negative: bool,
}

/// Everything that the log says.
#[derive(Default)]
pub struct Books {
    /// Orders by id.
    pub orders: BTreeMap<String, OrderBook>,
    /// Units ordered by product.
    pub units: BTreeMap<String, i64>,
    shelves: BTreeMap<String, ShelfBook>,
    sagas: BTreeMap<String, String>,
    streams: HashMap<StreamId, StreamVersion>,
    ids: HashSet<EventId>,
    last: GlobalPosition,
    events: u64,
    disorder: Vec<String>,
}

impl Books {
    /// Enters one event of the log.
    pub fn enter(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        self.check_place(event);
        match event.stream.category() {
            "order" => {
                event.decode()?.iter().for_each(|it| self.enter_order(event.stream.key(), it));
            }
            "payment" => {
                event.decode()?.iter().for_each(|it| self.enter_payment(event.stream.key(), it));
            }
            "stock" => event.decode()?.iter().for_each(|it| self.enter_stock(it)),
            category if category.starts_with("saga.") => self.enter_saga(event),
            _ => {}
        }
        Ok(())
    }

    /// Keeps the last thing that happened to a saga; what comes behind its end is only a record.
    fn enter_saga(&mut self, event: &RecordedEvent) {
        let last = self.sagas.entry(event.stream.to_string()).or_default();
        if !has_ended(last) {
            *last = event.event_type.to_string();
        }
    }

    fn check_place(&mut self, event: &RecordedEvent) {
        self.events += 1;
        let version = self.streams.entry(event.stream.clone()).or_default();
        let is_next = event.version == version.next() && event.position > self.last;
        if !is_next || !self.ids.insert(event.id) {
            self.disorder.push(format!(
                "{} version {} at position {} follows version {version} at position {}",
                event.stream, event.version, event.position, self.last
            ));
        }
        *version = event.version;
        self.last = event.position;
    }

    fn enter_order(&mut self, order: &str, event: &OrderEvent) {
        let book = self.orders.entry(order.to_owned()).or_default();
        book.status = status_behind(event);
        book.changes += 1;
        book.endings += u32::from(is_final(book.status));
        if let OrderEvent::Placed { lines, total, .. } = event {
            book.total_cents = total.get();
            for line in lines {
                let units = self.units.entry(line.product.to_string()).or_default();
                *units += i64::from(line.quantity.get());
            }
        }
    }

    fn enter_payment(&mut self, order: &str, event: &PaymentEvent) {
        let book = self.orders.entry(order.to_owned()).or_default();
        match event {
            PaymentEvent::Charged { amount, .. } => {
                book.charged += amount.get();
                book.charges += 1;
            }
            PaymentEvent::Refunded { amount, .. } => book.refunded += amount.get(),
            PaymentEvent::Declined { .. } | PaymentEvent::RefundNotNeeded { .. } => {}
        }
    }

    fn enter_stock(&mut self, event: &StockEvent) {
        let (product, on_hand, reserved) = match event {
            StockEvent::Received { product, quantity } => (product, i64::from(quantity.get()), 0),
            StockEvent::Reserved { product, quantity, .. } => {
                (product, 0, i64::from(quantity.get()))
            }
            StockEvent::Released { product, quantity, .. } => {
                (product, 0, -i64::from(quantity.get()))
            }
            StockEvent::Shipped { product, quantity, .. } => {
                (product, -i64::from(quantity.get()), -i64::from(quantity.get()))
            }
            StockEvent::ReservationBarred { product, .. } => (product, 0, 0),
        };
        let shelf = self.shelves.entry(product.to_string()).or_default();
        shelf.on_hand += on_hand;
        shelf.reserved += reserved;
        shelf.was_negative |= shelf.reserved < 0 || shelf.on_hand < shelf.reserved;
    }

    /// Checks what the log alone can tell.
    pub fn close(&self) -> Audit {
        let mut audit = Audit { events: self.events, ..Audit::default() };
        for book in self.orders.values() {
            *audit.orders.entry(book.status.to_owned()).or_default() += 1;
        }
        self.check_log(&mut audit);
        self.check_orders(&mut audit);
        self.check_shelves(&mut audit);
        audit
    }

    fn check_log(&self, audit: &mut Audit) {
        let events = usize::try_from(self.events).unwrap_or(usize::MAX);
        let problems = self.disorder.iter().map(|problem| Some(problem.clone()));
        let sound = std::iter::repeat_n(None, events - self.disorder.len());
        audit.check(
            "positions rise, versions follow one another, no event id stands twice",
            problems.chain(sound),
            Clone::clone,
        );
        audit.check("every saga is completed or compensated", &self.sagas, |(saga, last)| {
            (!has_ended(last)).then(|| format!("{saga} stands behind {last}"))
        });
    }

    fn check_orders(&self, audit: &mut Audit) {
        audit.check("every order is shipped or cancelled, once", &self.orders, |(order, book)| {
            (book.endings != 1).then(|| {
                format!("{order} is {}, and has ended {} times", book.status, book.endings)
            })
        });
        audit.check(
            "every charge of a cancelled order is refunded, every shipped order is paid once",
            &self.orders,
            |(order, book)| {
                let is_settled = match book.status {
                    "shipped" => {
                        (book.charged, book.refunded, book.charges) == (book.total_cents, 0, 1)
                    }
                    _ => book.charged == book.refunded && book.charges <= 1,
                };
                (!is_settled).then(|| {
                    format!(
                        "{order} is {}, charged {} times {} in all, refunded {}",
                        book.status, book.charges, book.charged, book.refunded
                    )
                })
            },
        );
    }

    fn check_shelves(&self, audit: &mut Audit) {
        audit.check("stock is never negative", &self.shelves, |(product, shelf)| {
            shelf.was_negative.then(|| format!("{product} was promised more than there was"))
        });
        audit.check("nothing stays reserved", &self.shelves, |(product, shelf)| {
            (shelf.reserved != 0).then(|| format!("{} of {product} are reserved", shelf.reserved))
        });
    }
}

/// True if `event_type` ends a saga.
fn has_ended(event_type: &str) -> bool {
    matches!(event_type, "saga.completed" | "saga.compensated")
}
