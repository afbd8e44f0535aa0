//! Customers: the right to be forgotten.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use highwater::Subject;
use order_domain::CustomerId;

use super::body::PathPart;
use super::problem::Problem;
use crate::service::Service;

/// `DELETE /customers/{customer}/personal-data`: nobody can read it any more, wherever a copy of it
/// is. Forgetting somebody again, or somebody unknown, is answered the same.
///
/// An order that has no carrier yet is called off, and what was paid for it is given back.
pub async fn forget(
    State(service): State<Arc<Service>>,
    PathPart(customer): PathPart<CustomerId>,
) -> Result<StatusCode, Problem> {
    let subject = Subject::new(customer).map_err(|error| Problem::internal(&error))?;
    service.app.forget(&subject).await?;
    Ok(StatusCode::NO_CONTENT)
}
