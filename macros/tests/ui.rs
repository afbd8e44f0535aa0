//! What the compiler says about each mistake: one file in `ui/` per mistake, and beside it what is
//! said. After a deliberate change, `TRYBUILD=overwrite cargo test -p highwater-macros --test ui`
//! writes the new texts; read them before you keep them.

#[test]
fn each_mistake_is_explained_where_it_is_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
