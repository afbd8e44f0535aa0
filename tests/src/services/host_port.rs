//! Choosing the host port of a container before it starts.
//!
//! Docker's own choice will not do: Kafka must advertise the port before it knows it, and an instance that a test
//! kills has to come back where its clients look for it.

use std::net::TcpListener;

/// Below the range the kernel gives to outgoing connections (from 32768 on Linux). A port from that range could be
/// taken by any client while its container is down, and a client that keeps dialling it may even meet itself: a
/// loopback connect whose source port happens to be the target succeeds.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port of the loopback interface that nothing listens on at this moment. Another process may be quicker, so
/// whoever starts a container on it retries with a new one.
pub(super) fn free_host_port() -> u16 {
    loop {
        let random = uuid::Uuid::now_v7().as_u128() % u128::from(RANGE.end - RANGE.start);
        // The low bits of a version 7 UUID are random; the remainder is below 12,000.
        let port = RANGE.start + u16::try_from(random).unwrap_or(0);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
