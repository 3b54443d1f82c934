//! A load generator for Kafka brokers: the map.
//!
//! **The problem.** A broker whose requests take a few microseconds is easily measured by a generator that takes more: then the
//! figures are the generator's. And a generator that waits for answers before it asks again does not see the stalls that its
//! users would see.
//!
//! **The design that follows.** Few threads, each a plain epoll loop over many connections ([`worker`], [`poll`], [`link`]). Requests
//! are whole frames that are there before the run begins ([`template`]); sending one is a `writev` of shared bytes. Open loops have
//! a timetable that nothing moves ([`schedule`]), and latencies count from it. What a connection does is a role: [`produce`],
//! [`consume`], the same question again and again ([`ask`]: [`commits`], [`metadata`]), or the client of a floor program ([`floor`]), all
//! measured by the same loop. [`groups`] has a loop of its own, since its members wait for each other, and so has [`outage`], whose
//! connections come and go with the brokers of a cluster; [`compaction`] and [`cluster`] only ask and wait. The wire comes from the library `flumen`; nothing of its reactor is used, and nothing here knows which broker it talks to.
//!
//! Enter by [`commands`], which turns a command line ([`args`]) into roles, and [`run`], which runs them.

pub mod args;
pub mod ask;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod commits;
pub mod compaction;
pub mod consume;
pub mod coordinate;
pub mod floor;
pub mod groups;
pub mod kafka;
pub mod link;
pub mod metadata;
pub mod outage;
pub mod payload;
pub mod poll;
pub mod process;
pub mod produce;
pub mod random;
pub mod read;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stamp;
pub mod stats;
pub mod template;
pub mod worker;
