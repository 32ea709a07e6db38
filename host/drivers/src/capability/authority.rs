//! What stands behind a driver's calls: read at each host call, so that what an operator decides holds from the next one on.

use std::sync::Arc;

use crate::grants::Grants;

/// What the driver of a call may do at this moment.
pub trait Authority: Send + Sync {
    /// What is granted to it now.
    fn grants(&self) -> Arc<Grants>;

    /// Why its version was revoked; then the call ends.
    fn revoked(&self) -> Option<String>;
}
