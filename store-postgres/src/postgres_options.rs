//! What can be set about a Postgres store.

use std::time::Duration;

use highwater_core::PipelineLimits;

/// What can be set about a [`PostgresStore`](crate::PostgresStore). The defaults suit a service.
///
/// A store opens at most one connection per batch in flight (2) and 8 for reading.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub(crate) pipeline: PipelineLimits,
    pub(crate) read_connections: usize,
    pub(crate) connect_patience: Duration,
    pub(crate) connection_wait: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) held_mark_warning: Duration,
    pub(crate) keeps_detached: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            pipeline: PipelineLimits::default(),
            read_connections: 8,
            connect_patience: Duration::from_secs(30),
            connection_wait: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            held_mark_warning: Duration::from_secs(5),
            keeps_detached: false,
        }
    }
}

impl PostgresOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How appends are gathered. Each batch in flight takes one connection.
    #[must_use]
    pub fn with_pipeline(mut self, limits: PipelineLimits) -> Self {
        self.pipeline = limits;
        self
    }

    /// Opens at most this many connections for reading (8 unless told, at least 1); further readers
    /// wait for one. Appends have connections of their own, so readers can't starve them.
    #[must_use]
    pub fn with_read_connections(mut self, connections: usize) -> Self {
        self.read_connections = connections.max(1);
        self
    }

    /// Goes on trying to connect for this long when the store is opened (30 s unless told).
    #[must_use]
    pub fn with_connect_patience(mut self, patience: Duration) -> Self {
        self.connect_patience = patience;
        self
    }

    /// Waits at most this long for a connection while all are in use (30 s unless told, at least 1 ms);
    /// then the read, or the append, is `Unavailable`.
    #[must_use]
    pub fn with_connection_wait(mut self, wait: Duration) -> Self {
        self.connection_wait = wait.max(Duration::from_millis(1));
        self
    }

    /// Warns (in the traces) of a transaction that appended and stays open for longer than this (5 s
    /// unless told): all readers of the log wait for it. See
    /// [`append_in`](crate::PostgresStore::append_in).
    #[must_use]
    pub fn with_held_mark_warning(mut self, open: Duration) -> Self {
        self.held_mark_warning = open;
        self
    }

    /// Leaves the tables of partitions that retention takes off the log where they are, to be dumped or
    /// looked at, until
    /// [`drop_detached_partition`](crate::PostgresStore::drop_detached_partition). Unless told, they
    /// are dropped at once.
    #[must_use]
    pub fn with_detached_partitions_kept(mut self) -> Self {
        self.keeps_detached = true;
        self
    }

    /// Lets no statement run longer than this (30 s unless told; whole milliseconds, at least 1). An
    /// append that takes longer has failed, with nothing appended.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout.max(Duration::from_millis(1));
        self
    }
}
