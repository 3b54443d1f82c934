//! The edge of the broker: listeners, connections, the order of requests, start and stop.
//!
//! A client writes requests one after the other and expects the answers in the same order, however long each takes. Between the
//! two stand thousands of connections that may stall, lie about lengths, or vanish. So each connection is two tasks on one core:
//! one reads frames and dispatches them, the other awaits the answers in order and sends all that are ready in one call. What
//! requests may hold in memory is counted in a [`budget::Budget`] a core, and a client that sits on memory without making
//! progress is closed before anybody else has to wait.
//!
//! - `start.rs`: what a core does from its first turn to its last; the way in.
//! - `listener.rs`: accepting, limits, hand-off to the least loaded core.
//! - `connection.rs`: one connection's reader and writer.
//! - `frames.rs`: cutting the byte stream into frames.
//! - `registry.rs`: the connections of a core: idle ones are closed, all of them at a stop.
//! - `budget.rs`: memory for requests in flight.

mod budget;
#[cfg(all(test, feature = "sim"))]
mod cluster_tests;
mod connection;
mod frames;
mod listener;
mod registry;
mod start;

pub use start::{Broker, RunError, run, topology};
