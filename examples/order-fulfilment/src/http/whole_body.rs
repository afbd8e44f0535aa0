//! Reads a request to its end before anybody answers it.
//!
//! A server that answers earlier closes the connection on a client that is still writing. The client then sees a broken
//! pipe where the refusal should be, and so may the next request on that connection.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;

use super::problem::Problem;

/// The largest body that is taken.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How much of a larger one is read and dropped, so that its sender gets to see the refusal.
const MAX_DROPPED_BYTES: usize = 4 * 1024 * 1024;

/// Hands the request on with its whole body, or refuses one that is too large.
pub async fn read_whole_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match read_whole(body).await {
        Ok(Whole::Taken(body)) => next.run(Request::from_parts(head, body.into())).await,
        Ok(Whole::Dropped) => too_large().into_response(),
        Ok(Whole::Endless) => closing(too_large().into_response()),
        Err(error) => {
            let detail = format!("the request's body broke off: {error}");
            closing(Problem::malformed(StatusCode::BAD_REQUEST, detail).into_response())
        }
    }
}

/// What became of a body.
enum Whole {
    Taken(Bytes),
    /// Too large to take, and read to its end.
    Dropped,
    /// Too large to even read to its end.
    Endless,
}

async fn read_whole(body: Body) -> Result<Whole, axum::Error> {
    let mut parts = body.into_data_stream();
    let mut taken = Vec::new();
    let mut read = 0;
    while let Some(part) = parts.try_next().await? {
        read += part.len();
        if read > MAX_BODY_BYTES + MAX_DROPPED_BYTES {
            return Ok(Whole::Endless);
        }
        if read <= MAX_BODY_BYTES {
            taken.extend_from_slice(&part);
        }
    }
    Ok(if read <= MAX_BODY_BYTES { Whole::Taken(taken.into()) } else { Whole::Dropped })
}

fn too_large() -> Problem {
    let detail = format!("the request's body is over the limit of {MAX_BODY_BYTES} bytes");
    Problem::malformed(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Says that nothing more is read from this connection.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
