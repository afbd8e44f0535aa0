//! `kill -9` in the middle of the load, on the embedded default.

mod service;

use service::Program;
use service::kill_drill::kill_under_load;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_and_doubles_nothing_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let store = folder.path().display().to_string();
    kill_under_load(Program::on(&["--store", &store]), 600, 4).await;
}
