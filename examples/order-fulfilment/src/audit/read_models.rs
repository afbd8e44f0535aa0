//! The read models, held against the books.

use std::collections::BTreeMap;

use super::Audit;
use super::books::Books;
use crate::Failure;
use crate::stack::Stack;

/// Checks that every read model is what a fold of the log makes.
pub async fn compare(books: &Books, stack: &Stack, audit: &mut Audit) -> Result<(), Failure> {
    let orders = books
        .orders
        .iter()
        .map(|(order, book)| {
            (order.clone(), (book.status.to_owned(), book.total_cents, book.changes))
        })
        .collect();
    let rows = stack.read.orders().await?;
    let rows = rows.into_iter().map(|row| (row.order, (row.status, row.total_cents, row.changes)));
    equal("the order status equals a fold of the log", orders, rows.collect(), audit);

    let top = stack.top_products.top(u32::from(u16::MAX)).await?;
    let top = top.into_iter().map(|product| (product.product, product.units));
    equal("the top products equal a fold of the log", books.units.clone(), top.collect(), audit);

    let changes = books.orders.iter().map(|(order, book)| (order.clone(), book.changes));
    let told = stack.read.notifications_by_order().await?.into_iter();
    equal("every change is told to the customer once", changes.collect(), told.collect(), audit);
    Ok(())
}

fn equal<V: PartialEq + std::fmt::Debug>(
    name: &'static str,
    fold: BTreeMap<String, V>,
    read_model: BTreeMap<String, V>,
    audit: &mut Audit,
) {
    let keys: std::collections::BTreeSet<_> = fold.keys().chain(read_model.keys()).collect();
    audit.check(name, keys, |key| {
        let (fold, read_model) = (fold.get(*key), read_model.get(*key));
        (fold != read_model).then(|| format!("{key}: log {fold:?}, read model {read_model:?}"))
    });
}
