//! Several customers in one log: who a tenant is, and a store that shows one tenant's part of it.
//!
//! A tenant's streams carry its name ([`StreamId`](crate::StreamId)), so that it is part of what a
//! stream is. `TenantStore` is the wall: whoever holds one reads and appends within its tenant and
//! can't name anything else. Who holds which is the application's business, and so is the store
//! below the walls, which sees everything.

#[cfg(feature = "runtime")]
mod tenant_handle;
mod tenant_id;
#[cfg(feature = "runtime")]
mod tenant_store;
#[cfg(feature = "runtime")]
mod terms;

#[cfg(feature = "runtime")]
pub use tenant_handle::TenantHandle;
pub use tenant_id::{InvalidTenantId, TenantId};
#[cfg(feature = "runtime")]
pub use tenant_store::TenantStore;
#[cfg(feature = "runtime")]
pub use terms::TenantError;

#[cfg(feature = "runtime")]
pub(crate) use terms::Terms;

pub(crate) use tenant_id::split_tenant;
