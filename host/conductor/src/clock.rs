//! The time that the lifecycle goes by.

use jiff::{SignedDuration, Timestamp};

/// Tells the time. Injected, so that a test can have the host down for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    ahead: SignedDuration,
}

impl Clock {
    /// The machine's own time.
    pub fn system() -> Self {
        Self::default()
    }

    /// A time that is ahead of the machine's.
    pub fn ahead(by: SignedDuration) -> Self {
        Self { ahead: by }
    }

    /// The time.
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.ahead).unwrap_or(now)
    }
}
