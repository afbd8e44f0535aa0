//! Invoices are numbered 1, 2, 3 … without a gap and without a number twice.

use std::convert::Infallible;

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, CommandId, DecisionModel, Event, EventQuery,
    InvalidTag, Metadata, RecordedEvent, emit,
};

use super::super::LogFactory;
use super::crowd::crowd;

#[derive(Event, Clone, Debug)]
enum InvoiceEvent {
    #[event(name = "invoice.issued")]
    Issued {
        #[event(tag)]
        series: String,
        number: u64,
    },
}

/// The numbers of one series that are in use, in the log's order.
#[derive(Clone)]
struct Numbers {
    series: &'static str,
    issued: Vec<u64>,
}

impl DecisionModel for Numbers {
    type Event = InvoiceEvent;

    fn query(&self) -> Result<EventQuery<InvoiceEvent>, InvalidTag> {
        EventQuery::all().tagged("series", self.series)
    }

    fn evolve(&mut self, event: &InvoiceEvent, _: &RecordedEvent) {
        let InvoiceEvent::Issued { number, .. } = event;
        self.issued.push(*number);
    }
}

fn of(series: &'static str) -> Numbers {
    Numbers { series, issued: Vec::new() }
}

async fn issue(
    boundaries: &Boundaries,
    series: &'static str,
    request: CommandId,
) -> Result<BoundaryReceipt, BoundaryError<Infallible>> {
    let decide = |numbers: &Numbers| {
        let number = numbers.issued.last().copied().unwrap_or(0) + 1;
        emit(InvoiceEvent::Issued { series: series.to_owned(), number })
    };
    let metadata = Metadata::default().with_command(request);
    boundaries.decide_with(metadata, of(series), decide).await
}

async fn issued(boundaries: &Boundaries, series: &'static str) -> Vec<u64> {
    boundaries.load(of(series)).await.unwrap().state().issued.clone()
}

/// Each series counts for itself, and a request that is repeated takes no second number.
pub async fn invoices_are_numbered_from_one_in_each_series(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    let repeated = CommandId::new();
    for request in [CommandId::new(), repeated, repeated, CommandId::new()] {
        issue(&boundaries, "2024", request).await.unwrap();
    }
    issue(&boundaries, "2025", CommandId::new()).await.unwrap();
    assert_eq!(issued(&boundaries, "2024").await, [1, 2, 3]);
    assert_eq!(issued(&boundaries, "2025").await, [1]);
}

/// Many issue at once: everybody gets a number, and the numbers are 1 to their count.
pub async fn of_a_crowd_everybody_gets_an_invoice_number_and_no_number_is_left_out(
    log: &dyn LogFactory,
) {
    let crowd = crowd(log, 24, |boundaries, _| async move {
        issue(&boundaries, "2024", CommandId::new()).await
    })
    .await;
    assert_eq!(crowd.receipts().len(), 24);
    let numbers = issued(&Boundaries::new(log.open().await), "2024").await;
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
}
