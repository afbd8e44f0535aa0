//! How a log file is opened.

use std::time::Duration;

use highwater_core::PipelineLimits;

/// How a log file is opened. The defaults suit most.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) lock_timeout: Duration,
    pub(crate) readers: u32,
    pub(crate) connection_wait: Duration,
    pub(crate) limits: PipelineLimits,
    pub(crate) max_size_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(5),
            readers: 4,
            connection_wait: Duration::from_secs(30),
            limits: PipelineLimits::default(),
            max_size_bytes: None,
        }
    }
}

impl SqliteOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits this long for another process to finish writing before an append is `Unavailable`
    /// (5 s unless told).
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Reads with at most this many connections at the same time (4 unless told; at least 1).
    #[must_use]
    pub fn with_readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Waits at most this long for a reading connection while all are in use (30 s unless told, at least
    /// 1 ms); then the read is `Unavailable`.
    #[must_use]
    pub fn with_connection_wait(mut self, wait: Duration) -> Self {
        self.connection_wait = wait.max(Duration::from_millis(1));
        self
    }

    /// Bounds the append pipeline. However many batches it allows in flight: SQLite writes one.
    #[must_use]
    pub fn with_limits(mut self, limits: PipelineLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets the file grow to at most this many bytes, rounded down to pages of 4096; further
    /// appends are `Unavailable`, as on a full disk (no limit unless told).
    ///
    /// It bounds this store's own writing: another process has the limit that it sets itself.
    #[must_use]
    pub fn with_max_size_bytes(mut self, bytes: u64) -> Self {
        self.max_size_bytes = Some(bytes);
        self
    }
}
