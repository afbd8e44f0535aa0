//! The chapters of the book as documentation, so that every code block in them is compiled and run.

macro_rules! chapters {
    ($($name:ident: $file:literal,)*) => {
        $(#[doc = include_str!(concat!("src/", $file))]
        pub mod $name {})*
    };
}

chapters! {
    aggregate: "aggregate.md",
    log: "log.md",
}
