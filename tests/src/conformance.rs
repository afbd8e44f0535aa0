//! Conformance suites: what every adapter must do, as functions over a factory.
//!
//! A suite is one module, a chapter is one module in it, a promise is one function. An adapter
//! enrols in one line, and each promise becomes a test of its own under the adapter's name.
//!
//! Left out: how an adapter does it. What only one adapter promises is tested beside its code.

// A promise that isn't kept panics; that is the failure of the test that called it.
#![allow(clippy::unwrap_used)]

pub mod bus;
pub mod inbox;
pub mod log;
pub mod personal_data;
pub mod read_model;
pub mod retention;
pub mod schemas;
pub mod snapshots;
pub mod tenancy;

/// Makes a test of each promise of a suite that has chapters. What the enrolling macros expand to.
#[doc(hidden)]
#[macro_export]
macro_rules! chapter_promises {
    ($suite:ident, $factory:expr; $($chapter:ident { $($promise:ident,)* })*) => {
        $(mod $chapter {
            #[allow(unused_imports)]
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let factory = $factory;
                $crate::conformance::$suite::$chapter::$promise(&factory).await;
            })*
        })*
    };
}

/// A promise that is written and not in its suite's table of contents is never checked. More than
/// `at_least` must be found, or the search itself is broken.
#[cfg(test)]
fn assert_enrolled(
    contents: &str,
    chapters: &[&str],
    is_promise: impl Fn(&str) -> bool,
    at_least: usize,
) {
    let promises = chapters
        .iter()
        .flat_map(|chapter| chapter.split("pub async fn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .filter(|name| is_promise(name));
    let mut count = 0;
    for promise in promises {
        count += 1;
        assert!(
            contents.contains(&format!(" {promise},\n")),
            "{promise} is in no table of contents"
        );
    }
    assert!(count > at_least, "only {count} promises were found");
}
