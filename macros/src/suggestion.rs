//! What to suggest: the known word that an unknown one is a slip of, names made of type names.

use quote::ToTokens;
use syn::meta::ParseNestedMeta;

/// An error at an unknown key, with the known one that it was probably meant to be.
pub(crate) fn unknown_key(meta: &ParseNestedMeta<'_>, owner: &str, known: &[&str]) -> syn::Error {
    let key = meta.path.to_token_stream().to_string();
    let hint = match nearest(&key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{owner} takes {}", listed(known)),
    };
    meta.error(format!("unknown attribute `{key}`; {hint}"))
}

/// The known word that `word` is a slip of: at most every third letter differs.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, changed or swapped to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `order_line` for `OrderLine`: how names are stored.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["name", "version", "family"];
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("verison", &known), Some("version"));
        assert_eq!(nearest("title", &known), None);
    }
}
