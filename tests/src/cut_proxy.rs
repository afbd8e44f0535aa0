//! A wire to a PostgreSQL server that a test cuts at the worst moment of an append: when the append
//! is sent and its answer isn't there. Until then it counts round trips.
//!
//! It owns the bytes between a store and its server, and knows of the protocol only how a server's
//! answer ends. What the store makes of a cut is the test's business.

// It is a part of a test: what it can't listen on or parse is that test's failure.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How a server says that it has done everything it was asked for, outside of a transaction: with
/// a statement of its own, that is behind the commit.
const DONE: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];

/// Where the wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// In front of the server: it never hears of the append.
    BeforeServer,
    /// Behind the commit: the answer is lost.
    BehindCommit,
}

/// What becomes of other connections, and of those that are opened behind the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They reach the server: it was a moment's trouble.
    Reachable,
    /// All are closed at once, until [`CutProxy::mend`].
    Away,
}

#[derive(Default)]
struct Plan {
    marker: Vec<u8>,
    cut: Option<(Cut, Afterwards)>,
}

struct Wire {
    server: SocketAddr,
    plan: Mutex<Plan>,
    /// How often the server said that it was done.
    round_trips: AtomicU64,
    cuts: watch::Sender<usize>,
    is_away: watch::Sender<bool>,
}

/// A wire to one server, on an address of its own.
pub struct CutProxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    _ends_with_it: tokio_util::sync::DropGuard,
}

impl CutProxy {
    /// A wire to the server of `url`.
    ///
    /// # Panics
    /// If the URL names no server.
    pub async fn to(url: &str) -> Self {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let host = match &config.get_hosts()[0] {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            other => panic!("{other:?} is no address"),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let server = tokio::net::lookup_host((host, port)).await.unwrap().next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            server,
            plan: Mutex::default(),
            round_trips: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
            is_away: watch::Sender::new(false),
        });
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(accept(
            listener,
            wire.clone(),
            end.clone(),
        )));
        Self { address, wire, _ends_with_it: end.drop_guard() }
    }

    /// `url` with this wire's address instead of the server's.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}{}/{path}", self.address)
    }

    /// Cuts the wire once, when a client sends `marker`.
    pub fn cut_when_sent(&self, marker: &str, cut: Cut, afterwards: Afterwards) {
        let mut plan = self.wire.plan();
        plan.marker = marker.as_bytes().to_vec();
        plan.cut = Some((cut, afterwards));
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.wire.plan().cut = None;
        self.wire.is_away.send_replace(false);
    }

    /// Waits until it was cut.
    ///
    /// # Panics
    /// If that takes a minute.
    pub async fn is_cut(&self) {
        let mut cuts = self.wire.cuts.subscribe();
        let cut = tokio::time::timeout(Duration::from_secs(60), cuts.wait_for(|cuts| *cuts > 0));
        cut.await.expect("it is cut within a minute").unwrap();
    }

    /// How often the server has said that it is done with what it was asked for, and the client was told.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.wire.round_trips.load(Ordering::SeqCst)
    }

    /// How often it was cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        *self.wire.cuts.borrow()
    }
}

impl Wire {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the cut, if its marker is in what was sent.
    fn cut_for(&self, sent: &[u8]) -> Option<(Cut, Afterwards)> {
        let mut plan = self.plan();
        plan.cut?;
        let is_sent = sent.windows(plan.marker.len()).any(|window| window == plan.marker);
        plan.cut.take_if(|_| is_sent)
    }
}

async fn accept(listener: TcpListener, wire: Arc<Wire>, end: CancellationToken) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        if !*wire.is_away.borrow() {
            let (wire, end) = (wire.clone(), end.clone());
            tokio::spawn(
                end.run_until_cancelled_owned(async move { connect(client, &wire).await }),
            );
        }
    }
}

async fn connect(client: TcpStream, wire: &Wire) {
    let Ok(server) = TcpStream::connect(wire.server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answer_is_lost = watch::Sender::new(false);
    let lost = answer_is_lost.subscribe();
    // Whichever ends first takes both connections along.
    tokio::select! {
        () = requests(from_client, to_server, wire, &answer_is_lost) => {}
        () = answers(from_server, to_client, wire, lost) => {}
        () = cut_elsewhere(wire, &answer_is_lost) => {}
    }
}

/// Waits until another connection was cut that takes this one along.
async fn cut_elsewhere(wire: &Wire, answer_is_lost: &watch::Sender<bool>) {
    let mut is_away = wire.is_away.subscribe();
    let is_cut = is_away.wait_for(|is_away| *is_away).await.is_ok();
    if !is_cut || *answer_is_lost.borrow() {
        std::future::pending::<()>().await;
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    answer_is_lost: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    // A marker may come in two pieces.
    let mut sent = Vec::new();
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        sent.extend_from_slice(&buffer[..count]);
        if let Some((cut, afterwards)) = wire.cut_for(&sent) {
            answer_is_lost.send_replace(true);
            wire.is_away.send_replace(afterwards == Afterwards::Away);
            if cut == Cut::BeforeServer {
                wire.cuts.send_modify(|cuts| *cuts += 1);
                return;
            }
        }
        sent.drain(..sent.len().saturating_sub(256));
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    is_lost: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut swallowed = Vec::new();
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if *is_lost.borrow() {
            swallowed.extend_from_slice(&buffer[..count]);
            if swallowed.ends_with(&DONE) {
                wire.cuts.send_modify(|cuts| *cuts += 1);
                return;
            }
        } else {
            // Before the client hears of it. Who sends one request at a time gets one answer at a time.
            if buffer[..count].ends_with(&DONE) {
                wire.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}
