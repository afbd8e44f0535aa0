//! A process that writes to a log until it is killed, or reads along: see
//! `highwater_tests::killed_writers`, whose test starts it. Nobody calls it by hand.

use std::io::{BufReader, stdin};

use highwater_tests::killed_writers::writer::{self, Life};
use highwater_tests::killed_writers::{DATABASE, Honesty};

#[tokio::main(worker_threads = 2)]
async fn main() {
    let url = std::env::var(DATABASE).expect("the parent names the database");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["read"] => writer::read(&url, BufReader::new(stdin())).await,
        ["write", name, writers, honesty] => {
            let life = Life {
                name: name.to_owned(),
                writers: writers.parse().expect("a number of writers"),
                honesty: match honesty {
                    "early" => Honesty::AcknowledgesEarly,
                    _ => Honesty::Honest,
                },
            };
            writer::write(&url, life, BufReader::new(stdin())).await;
        }
        _ => panic!("usage: killed-writer read | write NAME WRITERS honest|early"),
    }
}
