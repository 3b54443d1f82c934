//! What the process tests share: brokers to start and kill (ours, and a real Apache Kafka), foreign clients to talk to them,
//! and Kafka's own tools.
//!
//! A test says which broker it wants through [`broker::Broker`]; with `FLUMEN_TEST_TARGET=kafka` every test that asks for
//! "the broker" gets Apache Kafka instead. That run must pass too: it proves that a test demands what Kafka does and not what
//! we believe that Kafka does.
#![allow(dead_code, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod administration;
pub mod broker;
pub mod client;
pub mod dump_log;
pub mod exchange;
pub mod history;
pub mod members;
pub mod peers;
pub mod process;
pub mod records;
pub mod router;
pub mod tools;
