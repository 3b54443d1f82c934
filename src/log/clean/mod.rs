//! Log compaction: of each key only the newest record stays (`cleanup.policy=compact`).
//!
//! **The problem.** A log of changes must end as a log of states, while it is written and read, without a reader ever missing a key or
//! seeing a deleted one come back, with offsets, sequences of producers and ends of transactions as they were; and a stop at any moment
//! must leave either what was or what is to be.
//!
//! **The design that follows.** A *round* reads the dirty part once, to learn the newest offset of each key (`map`), then copies all
//! segments from the first one on and leaves out what is superseded (`filter`, `transactions`). What comes out takes the place of
//! what went in by renames (`swap`); nothing is changed in place. The decisions are pure and run on a helper thread, in pieces; the
//! files are read and written by the core between other work, no faster than `throttle` lets them. Several small segments become
//! one (`choose`).
//!
//! **Where to look.** Whether and what: `choose`. A rule about a record or batch: `filter`. The files: `output`, `swap`, and
//! `startup` beside this room for what a stop has left. The order of it all: `run`.

mod choose;
mod filter;
mod map;
mod output;
mod run;
mod swap;
#[cfg(test)]
mod tests;
mod throttle;
mod transactions;

pub use choose::Cleanable;
pub use run::{CleanReport, Cleaner, CleanerLimits};
