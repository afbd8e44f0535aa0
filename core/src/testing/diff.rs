//! What differs between two values, as lines of their `Debug` text.

use std::fmt::{Debug, Write};

/// The lines of both values: `-` stands before what only `expected` has, `+` before what only
/// `actual` has.
pub(super) fn of(expected: &impl Debug, actual: &impl Debug) -> String {
    let (expected, actual) = (format!("{expected:#?}"), format!("{actual:#?}"));
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let common = common_lines(&left, &right);
    let mut text = String::from("(- expected, + actual)\n");
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let (mark, line) = if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
            (' ', left[i - 1])
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', left[i - 1])
        } else {
            j += 1;
            ('+', right[j - 1])
        };
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{mark} {line}");
    }
    text
}

/// At `[i][j]`: how many lines `left[i..]` and `right[j..]` have in common, in order.
fn common_lines(left: &[&str], right: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = if left[i] == right[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}
