//! What the service says to requests that make no sense: clearly, and without appending anything.

mod service;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use service::load::order_body;
use service::{Program, Running};

/// Expects a refusal of this status whose detail holds `words`.
async fn assert_refused(request: RequestBuilder, status: StatusCode, words: &str) {
    let answer: Response = request.send().await.expect("the service answers");
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.expect("a problem is JSON");
    let detail = problem["detail"].as_str().expect("a problem has a detail");
    assert!(detail.contains(words), "{detail:?} doesn't tell of {words:?}");
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["title"].is_string() && problem["type"].is_string());
}

fn order_of(quantity: Value) -> Value {
    let line = json!({ "product": "cup", "quantity": quantity, "unit_price_cents": 1 });
    order_body(7, &[line])
}

async fn log_head(client: &Client, service: &Running) -> u64 {
    let answer = client.get(format!("{}/health/ready", service.base)).send().await;
    let health: Value = answer.expect("it answers").json().await.expect("health is JSON");
    health["log_head"].as_u64().expect("the log has a head")
}

#[tokio::test]
async fn bad_input_is_refused_clearly_and_appends_nothing() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let service = Program::on(&["--store", &folder.path().display().to_string()]).start();
    let client = Client::new();
    let orders = format!("{}/orders", service.base);
    let post = || client.post(&orders).header("content-type", "application/json");
    let before = log_head(&client, &service).await;

    assert_refused(post().body("{\"lines\":"), StatusCode::BAD_REQUEST, "EOF").await;
    assert_refused(post().body(vec![0xff, 0xfe]), StatusCode::BAD_REQUEST, "line 1").await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    assert_refused(post().json(&order_of(json!(-3))), unprocessable, "this one is -3").await;
    assert_refused(post().json(&order_of(json!(0))), unprocessable, "1 to 1000000").await;
    assert_refused(post().json(&order_of(json!("2"))), unprocessable, "lines[0].quantity").await;
    assert_refused(post().json(&json!({})), unprocessable, "missing field `customer`").await;
    assert_refused(post().json(&json!({ "lines": [], "x": 1 })), unprocessable, "`x`").await;
    assert_refused(post().json(&order_body(7, &[])), StatusCode::CONFLICT, "at least one").await;
    let oversized = post().body(format!("{{\"lines\": \"{}\"}}", "x".repeat(3_000_000)));
    assert_refused(oversized, StatusCode::PAYLOAD_TOO_LARGE, "over the limit").await;
    let plain = client.post(&orders).body("order");
    assert_refused(plain, StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json").await;
    let key = post().header("Idempotency-Key", "k".repeat(300)).json(&order_of(json!(1)));
    assert_refused(key, StatusCode::BAD_REQUEST, "1 to 200").await;

    let unknown = format!("{orders}/01J9ZCWM3T5V8E0Q2R4S6XAYBD");
    assert_refused(client.get(&unknown), StatusCode::NOT_FOUND, "01J9ZCWM3T5V8E0Q2R4S6XAYBD").await;
    assert_refused(client.get(format!("{unknown}/history")), StatusCode::NOT_FOUND, "no order")
        .await;
    let cancel = client.post(format!("{unknown}/cancel"));
    assert_refused(cancel, StatusCode::CONFLICT, "no order of this id").await;
    assert_refused(client.get(format!("{orders}/one")), StatusCode::BAD_REQUEST, "ULID").await;
    let product =
        client.post(format!("{}/stock/Tea%00pot", service.base)).json(&json!({"quantity": 1}));
    assert_refused(product, StatusCode::BAD_REQUEST, "product id").await;
    assert_refused(
        client.get(format!("{}/nowhere", service.base)),
        StatusCode::NOT_FOUND,
        "README",
    )
    .await;

    assert_eq!(log_head(&client, &service).await, before, "nothing was appended");
}

#[tokio::test]
async fn a_key_that_stood_for_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let service = Program::on(&["--store", &folder.path().display().to_string()]).start();
    let client = Client::new();
    let deliver = |product: &str| {
        let request = client.post(format!("{}/stock/{product}", service.base));
        request.header("Idempotency-Key", "delivery-1").json(&json!({ "quantity": 5 }))
    };
    let first = deliver("cup").send().await.expect("the service answers");
    assert_eq!(first.status(), StatusCode::OK);
    let again = deliver("cup").send().await.expect("the service answers");
    assert_eq!(again.status(), StatusCode::OK, "a repetition gets the first answer");
    let other = StatusCode::UNPROCESSABLE_ENTITY;
    assert_refused(deliver("plate"), other, "used before, for something else").await;
}

#[test]
fn a_store_that_can_not_be_opened_is_named() {
    let output = Program::on(&["--store", "/proc/no/such/folder"]).run(&["audit"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("/proc/no/such/folder"), "{complaint}");
    assert!(complaint.contains("--store"), "{complaint}");
}
