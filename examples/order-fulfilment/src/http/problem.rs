//! Errors as HTTP tells them: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use highwater::{AppendError, CommandError, ForgetError, InvalidAppend, ReadError};
use serde::Serialize;

/// What went wrong, in the words of RFC 9457.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(rename = "status")]
    status_code: u16,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self { status, kind, title, status_code: status.as_u16(), detail }
    }

    /// The request can't be understood; `status` says in which way.
    pub fn malformed(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "/problems/malformed-request", "The request is malformed", detail.into())
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/not-found",
            "There is no such thing",
            detail.into(),
        )
    }

    /// The business says no.
    pub fn rejected(rejection: &dyn std::error::Error) -> Self {
        let title = "The order's rules say no";
        Self::new(StatusCode::CONFLICT, "/problems/rejected", title, rejection.to_string())
    }

    /// The customer was forgotten, so nothing new about them can be kept.
    fn forgotten() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "/problems/customer-forgotten",
            "The customer was forgotten",
            "this customer's personal data was deleted for good; order under another customer id"
                .to_owned(),
        )
    }

    /// Something that the service needs isn't there; the same request may succeed later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The service can't answer just now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "/problems/unavailable", title, detail.into())
    }

    /// A defect of the service: told to its log, not to the caller.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "/problems/internal",
            "The service failed",
            "the failure is in the service's log".to_owned(),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl<R: std::error::Error + 'static> From<CommandError<R>> for Problem {
    fn from(error: CommandError<R>) -> Self {
        match &error {
            CommandError::Rejected(rejection) => Self::rejected(rejection),
            CommandError::Target(source) => {
                Self::malformed(StatusCode::UNPROCESSABLE_ENTITY, source.to_string())
            }
            CommandError::IdTaken { .. } => Self::malformed(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used before, for something else; take another one",
            ),
            CommandError::Append {
                source: AppendError::Invalid(InvalidAppend::SubjectForgotten { .. }),
                ..
            } => Self::forgotten(),
            _ if error.is_retryable() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "command not carried out");
                Self::unavailable(
                    "the order log can't be reached; repeat the request with the same Idempotency-Key",
                )
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        if error.is_retryable() {
            Self::unavailable("the order log can't be reached")
        } else {
            Self::internal(&error)
        }
    }
}

impl From<ForgetError> for Problem {
    fn from(error: ForgetError) -> Self {
        if error.is_retryable() {
            tracing::warn!(error = &error as &dyn std::error::Error, "a customer is not forgotten");
            Self::unavailable("the keys can't be reached, and nothing was deleted; ask again")
        } else {
            Self::internal(&error)
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "read model not reachable");
        Self::unavailable("the read model can't be reached")
    }
}
