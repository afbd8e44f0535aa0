//! A library that lends books: what the tests command and decide, with every way to go wrong in it.

use std::collections::BTreeMap;

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, DecisionModel, Event, EventQuery,
    Evolve, InvalidTag, RecordedEvent, emit_all, reject,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum BookEvent {
    #[event(name = "book.lent")]
    Lent {
        #[event(tag)]
        book: String,
    },
    /// JSON has no keys that are lists.
    #[event(name = "book.listed")]
    Listed {
        #[event(tag)]
        book: String,
        pages: BTreeMap<Vec<u8>, u8>,
    },
    /// Its tag's name is none that a category may have.
    #[event(name = "book.shelved")]
    Shelved {
        #[event(tag)]
        _shelf: String,
    },
    /// Nothing says where it belongs.
    #[event(name = "book.forgotten")]
    Forgotten { at: u64 },
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the library is closed")]
pub(crate) struct IsClosed;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "book", id = String, event = BookEvent, rejection = IsClosed)]
pub(crate) struct Book {
    pub(crate) times_lent: usize,
}

/// What is to be done with a book, in the words of its outcome.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Lend(usize),
    Reject,
    Emit(BookEvent),
}

#[derive(Command, Clone, Debug)]
#[command(aggregate = Book)]
pub(crate) struct Ask {
    #[command(id)]
    pub(crate) book: String,
    pub(crate) wish: Wish,
}

impl Ask {
    pub(crate) fn new(book: &str, wish: Wish) -> Self {
        Self { book: book.to_owned(), wish }
    }
}

pub(crate) fn lent(book: &str) -> BookEvent {
    BookEvent::Lent { book: book.to_owned() }
}

pub(crate) fn unwritable(book: &str) -> BookEvent {
    BookEvent::Listed { book: book.to_owned(), pages: BTreeMap::from([(vec![1], 1)]) }
}

impl Decide<Ask> for Book {
    fn decide(&self, ask: Ask, _: &DecisionContext) -> Decision<Self> {
        match ask.wish {
            Wish::Lend(times) => emit_all((0..times).map(|_| lent(&ask.book))),
            Wish::Reject => reject(IsClosed),
            Wish::Emit(event) => emit_all([event]),
        }
    }
}

impl Evolve for Book {
    fn evolve(&mut self, _: &BookEvent) {
        self.times_lent += 1;
    }
}

/// How often a book was lent, found by its tag.
#[derive(Clone, Debug)]
pub(crate) struct Loans {
    pub(crate) book: String,
    pub(crate) count: usize,
}

impl Loans {
    pub(crate) fn of(book: &str) -> Self {
        Self { book: book.to_owned(), count: 0 }
    }
}

impl DecisionModel for Loans {
    type Event = BookEvent;

    fn query(&self) -> Result<EventQuery<BookEvent>, InvalidTag> {
        EventQuery::all().tagged("book", &self.book)
    }

    fn evolve(&mut self, _: &BookEvent, _: &RecordedEvent) {
        self.count += 1;
    }
}
