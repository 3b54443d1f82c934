//! Clusters: several brokers and controllers, each a real process on a host of its own, under load while machines, links and disks fail,
//! and the walk that a newcomer to Kafka is taught, with Kafka's own tools.
//!
//! `tests/run cluster` has the walk and one fault of each kind, `cluster_soak` random faults, `cluster_faults` the whole matrix, and `cluster_kafka`
//! all but the random ones against three Apache Kafka 4.2.0 brokers, the yardstick: what they do not hold is not demanded of Flumen, and
//! the same checker judges both. `tests/cluster/compare` lays the two side by side. They need root (for network namespaces, TUN devices,
//! small file systems and machines with systemd) and 4 GiB of memory for three JVMs. One test at a time: they share two cores
//! (`--test-threads=1`, as in tests/suites.txt).
//!
//! What is where: [`wire`] is a switch in this process that delays, drops, reorders and cuts; [`network`] makes hosts (network namespaces)
//! that are connected by it; [`machine`] lets systemd run on one, with Flumen as its service; [`nodes`] is a cluster of brokers and
//! controllers on such hosts ([`disk`]: some small): formatted, started, stopped, killed, paused, with disks that are filled and wiped; [`writer`] and [`reader`]
//! are clients of our own that record everything that was acked and read, [`probe`] one that comes when a fault is over; [`checker`] runs
//! them and gives the verdict; [`scene`] has the faults; [`short`], [`faults`], [`soak`], [`administration`], [`balancing`], [`voters`],
//! [`damage`] and [`walk`] are the tests, the others have tests of their own that need no broker. After a test
//! target/test-logs has `cluster-NAME-{flumen,kafka}.txt`: what was injected, how long the cluster took to go on, and what was checked;
//! after a failure, or with `FLUMEN_TEST_KEEP=1`, also the logs and configuration files of all nodes.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../support/mod.rs"]
mod support;

mod administration;
mod balancing;
mod checker;
mod counts;
mod damage;
mod disk;
mod faults;
mod machine;
mod network;
mod nodes;
mod probe;
mod reader;
mod report;
mod scene;
mod short;
mod soak;
mod voters;
mod waits;
mod walk;
mod wire;
mod writer;
