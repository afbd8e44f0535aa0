//! Queries over types and tags as SQL.
//!
//! Each item is a search of its own that finds its first matches in order and stops: by the index
//! of its first tag if it has tags (name the rarest first), by the index of types for each of its
//! types, along the log otherwise. The finds are then put together. So a page of a few events costs
//! about a few look-ups, however many events there are that carry one of the tags.

use highwater_core::{EventType, GlobalPosition, Query, QueryItem, Tag};
use sqlx::{QueryBuilder, Sqlite};

use crate::recorded_row::{column_limit, column_number, event_columns};

/// SQLite compiles a statement of at most 500 such searches and 32,766 parameters.
const MOST_SEARCHES: usize = 100;
const MOST_PARAMETERS: usize = 10_000;
/// An item that names more types than this is searched for along the log.
const MOST_TYPES: usize = 20;

/// Which part of the log is searched, and for how many events.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: GlobalPosition,
    /// Inclusive.
    pub(crate) up_to: GlobalPosition,
    pub(crate) limit: usize,
}

/// The items of a query in groups that a statement can hold; most queries are one group.
pub(crate) fn groups(query: &Query) -> Vec<&[QueryItem]> {
    let mut groups = Vec::new();
    let mut rest = query.items();
    while !rest.is_empty() {
        let (group, further) = rest.split_at(first_group(rest));
        groups.push(group);
        rest = further;
    }
    groups
}

/// How many of the items the first group takes: one at least.
fn first_group(items: &[QueryItem]) -> usize {
    let (mut searches, mut parameters) = (0, 0);
    let fits = |item: &&QueryItem| {
        let of_item = searches_for(item).len();
        searches += of_item;
        parameters += item.tags().len() + item.event_types().len() + 3 * of_item;
        searches <= MOST_SEARCHES && parameters <= MOST_PARAMETERS
    };
    items.iter().take_while(fits).count().max(1)
}

/// One search in order of position.
enum Search<'a> {
    /// By the index of tags; the types are looked up.
    Tags(&'a Tag, &'a [Tag], &'a [EventType]),
    /// By the index of types.
    Type(&'a EventType),
    /// Along the log.
    Scan(&'a [EventType]),
}

fn searches_for(item: &QueryItem) -> Vec<Search<'_>> {
    let types = item.event_types();
    match item.tags().split_first() {
        Some((first, others)) => vec![Search::Tags(first, others, types)],
        None if types.is_empty() || types.len() > MOST_TYPES => vec![Search::Scan(types)],
        None => types.iter().map(Search::Type).collect(),
    }
}

/// Selects the events of `span` that any of the items matches, in order.
pub(crate) fn select_events(items: &[QueryItem], span: Span) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE position IN (",
    ));
    push_searches(&mut sql, items, span);
    sql.push(") ORDER BY position LIMIT ").push_bind(column_limit(span.limit));
    sql
}

/// Selects one position behind `after` whose event any of the items matches, if there is one.
pub(crate) fn select_any_match(items: &[QueryItem], after: GlobalPosition) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT position FROM (");
    push_searches(&mut sql, items, Span { after, up_to: GlobalPosition::new(u64::MAX), limit: 1 });
    sql.push(") LIMIT 1");
    sql
}

fn push_searches(sql: &mut QueryBuilder<Sqlite>, items: &[QueryItem], span: Span) {
    for (index, search) in items.iter().flat_map(searches_for).enumerate() {
        if index > 0 {
            sql.push(" UNION ALL ");
        }
        sql.push("SELECT position FROM (");
        push_search(sql, &search, span);
        sql.push(" ORDER BY position LIMIT ").push_bind(column_limit(span.limit)).push(")");
    }
}

fn push_search(sql: &mut QueryBuilder<Sqlite>, search: &Search<'_>, span: Span) {
    match search {
        Search::Tags(first, others, types) => {
            sql.push("SELECT position FROM highwater_event_tags AS found WHERE ");
            push_span(sql, span);
            sql.push(" AND tag = ").push_bind(first.as_str().to_owned());
            for tag in *others {
                sql.push(" AND EXISTS (SELECT 1 FROM highwater_event_tags WHERE tag = ")
                    .push_bind(tag.as_str().to_owned())
                    .push(" AND position = found.position)");
            }
            let type_of_found =
                "(SELECT type FROM highwater_events WHERE position = found.position)";
            push_types(sql, type_of_found, types);
        }
        Search::Type(event_type) => {
            sql.push("SELECT position FROM highwater_events WHERE ");
            push_span(sql, span);
            sql.push(" AND type = ").push_bind(event_type.as_str().to_owned());
        }
        Search::Scan(types) => {
            sql.push("SELECT position FROM highwater_events WHERE ");
            push_span(sql, span);
            // The plus sign keeps SQLite from sorting all that the index of types holds.
            push_types(sql, "+type", types);
        }
    }
}

fn push_span(sql: &mut QueryBuilder<Sqlite>, span: Span) {
    sql.push("position > ").push_bind(column_number(span.after.get()));
    sql.push(" AND position <= ").push_bind(column_number(span.up_to.get()));
}

fn push_types(sql: &mut QueryBuilder<Sqlite>, of: &str, types: &[EventType]) {
    if types.is_empty() {
        return;
    }
    sql.push(" AND ").push(of).push(" IN (");
    let mut list = sql.separated(", ");
    for event_type in types {
        list.push_bind(event_type.as_str().to_owned());
    }
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_is_larger_than_a_statement_and_none_is_empty() {
        let small = QueryItem::types(["a"]);
        let names: Vec<String> = (0..9_000).map(|number| number.to_string()).collect();
        let large = QueryItem::types(names.iter().map(String::as_str));
        let query = (0..250).fold(Query::default(), |query, _| query.or(small.clone()));
        let query = query.or(large.clone()).or(large);
        let sizes: Vec<usize> = groups(&query).iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [100, 100, 51, 1]);
        assert!(groups(&Query::default()).is_empty());
    }
}
