//! One small file for each way of breaking the rules, and a few that look alike and are allowed.

use crate::reader::Rule;
use std::collections::BTreeSet;

pub struct Fixture {
    pub file: &'static str,
    pub rule: Rule,
    pub text: &'static str,
}

const fn broken(file: &'static str, rule: Rule, text: &'static str) -> Fixture {
    Fixture { file, rule, text }
}

/// The modules that the fixtures pretend exist.
pub fn modules() -> BTreeSet<Vec<String>> {
    [&["io"][..], &["log"], &["log", "segment"], &["shard"]]
        .iter()
        .map(|path| path.iter().map(|part| (*part).to_owned()).collect())
        .collect()
}

pub const BROKEN: &[Fixture] = &[
    // An edge that the table does not have, however it is written.
    broken("replica/a.rs", Rule::Edge, "use crate::log::Segment;"),
    broken("replica/a.rs", Rule::Edge, "use crate::{model::Offset, log::Segment};"),
    broken("replica/a.rs", Rule::Edge, "use crate::log::*;"),
    broken("replica/a.rs", Rule::Edge, "use crate::log as words;"),
    broken("replica/a.rs", Rule::Edge, "use crate::log::{self as words};"),
    broken("replica/a.rs", Rule::Edge, "pub use crate::producer::State;"),
    broken("replica/a.rs", Rule::Edge, "pub(crate) use crate::io::File;"),
    broken("replica/a.rs", Rule::Edge, "fn f() { crate::io::now(); }"),
    broken("replica/a.rs", Rule::Edge, "fn f(x: Vec<crate::log::Segment>) {}"),
    broken("replica/a.rs", Rule::Edge, "impl crate::log::Reader for X {}"),
    broken("replica/a.rs", Rule::Edge, "fn f<T: crate::log::Reader>() {}"),
    broken("replica/a.rs", Rule::Edge, "fn f(x: X) { match x { crate::log::X::A => {} } }"),
    broken("replica/a.rs", Rule::Edge, "fn f() { use crate::shard; }"),
    broken("replica/mod.rs", Rule::Edge, "//! x\nuse super::log::Segment;"),
    broken("replica/a.rs", Rule::Edge, "use super::super::log::Segment;"),
    broken("replica/a.rs", Rule::Edge, "mod inner { use super::super::super::log::Segment; }"),
    broken("replica/a.rs", Rule::Edge, "fn f() { println!(\"{}\", crate::io::now()); }"),
    broken("replica/a.rs", Rule::Edge, "macro_rules! m { () => { $crate::io::now() } }"),
    broken("replica/a.rs", Rule::Edge, "fn f() { select! { x = y => { use crate::{io, model}; } } }"),
    broken("replica/a.rs", Rule::Edge, "#[cfg(any(test, feature = \"sim\"))] use crate::io::File;"),
    broken("model/a.rs", Rule::Edge, "use crate::record::Batch;"),
    broken("record/a.rs", Rule::Edge, "use crate::protocol::Frame;"),
    broken("io/a.rs", Rule::Edge, "use crate::log::Segment;"),
    broken("log/a.rs", Rule::Edge, "use crate::shard::Shard;"),
    broken("api/a.rs", Rule::Edge, "fn f(s: crate::server::Connection) {}"),
    broken("api/a.rs", Rule::Edge, "use crate::log::Segment;"),
    broken("main.rs", Rule::Edge, "fn main() { flumen::log::open(); }"),
    broken("log/a.rs", Rule::Edge, "use crate::helper;"),
    // A re-export that would open a room to those who may not name it, and names that cannot be followed.
    broken("shard/a.rs", Rule::OpenedRoom, "pub use crate::log::*;"),
    broken("shard/a.rs", Rule::OpenedRoom, "pub use crate::log;"),
    broken("shard/a.rs", Rule::OpenedRoom, "pub(crate) use crate::log::segment as storage;"),
    broken("io/a.rs", Rule::OpenedRoom, "pub use glommio;"),
    broken("io/a.rs", Rule::OpenedRoom, "pub use libc::*;"),
    broken("log/a.rs", Rule::RootAlias, "use crate as house;"),
    broken("log/a.rs", Rule::RootAlias, "use crate::{self as house};"),
    broken("log/a.rs", Rule::RootAlias, "use super::super::*;"),
    broken("log/a.rs", Rule::Elsewhere, "extern crate self as house;"),
    broken("log/a.rs", Rule::Elsewhere, "#[path = \"../../api/x.rs\"] mod x;"),
    broken("log/a.rs", Rule::Elsewhere, "include!(\"../api/x.rs\");"),
    broken("log/a.rs", Rule::Elsewhere, "#[macro_export] macro_rules! m { () => {} }"),
    broken("lib.rs", Rule::MapHasCode, "pub mod log; pub use log::Segment;"),
    // The operating system, clocks, chance and threads.
    broken("log/a.rs", Rule::Device, "use glommio::io::DmaFile;"),
    broken("log/a.rs", Rule::Device, "use libc as c;"),
    broken("log/a.rs", Rule::Device, "fn f() { unsafe { libc::close(3) }; }"),
    broken("log/a.rs", Rule::Device, "use ::socket2::Socket;"),
    broken("log/a.rs", Rule::Device, "fn f() { vec![io_uring::opcode::NOP] }"),
    broken("log/a.rs", Rule::Device, "type Q = crossbeam_queue::SegQueue<u8>;"),
    broken("replica/a.rs", Rule::Device, "use std::time::{Duration, Instant};"),
    broken("replica/a.rs", Rule::Device, "fn f() { std::time::SystemTime::now(); }"),
    broken("server/a.rs", Rule::Device, "use std::net::TcpListener;"),
    broken("config/a.rs", Rule::Device, "use std::fs;"),
    broken("server/a.rs", Rule::Device, "fn f() { std::thread::spawn(f); }"),
    // Sharing.
    broken("shard/a.rs", Rule::Lock, "use std::sync::Mutex;"),
    broken("shard/a.rs", Rule::Lock, "struct S { x: std::sync::RwLock<u8> }"),
    broken("shard/a.rs", Rule::Lock, "use std::sync::Mutex as Plain;"),
    broken("shard/a.rs", Rule::Lock, "fn f() { vec![Mutex::new(1)] }"),
    broken("shard/a.rs", Rule::ThreadLocal, "thread_local! { static X: u8 = 1; }"),
    broken("shard/a.rs", Rule::ThreadLocal, "std::thread_local! { static X: u8 = 1; }"),
    broken("shard/a.rs", Rule::ThreadLocal, "macro_rules! m { () => { thread_local! { static X: u8 = 1; } } }"),
    broken("shard/a.rs", Rule::MutableStatic, "static mut X: u8 = 1;"),
    broken("shard/a.rs", Rule::MutableStatic, "static X: AtomicU64 = AtomicU64::new(1);"),
    broken("shard/a.rs", Rule::MutableStatic, "fn f() { static X: std::sync::OnceLock<u8> = std::sync::OnceLock::new(); }"),
    // What keeps the rooms readable.
    broken("log/mod.rs", Rule::NoOpening, "mod segment;"),
    broken("log/a.rs", Rule::TestsInProduct, "mod tests;"),
    broken("helper/mod.rs", Rule::UnknownRoom, "//! x"),
    broken("log/a.rs", Rule::DoesNotParse, "fn {"),
];

pub const CLEAN: &[(&str, &str)] = &[
    ("replica/a.rs", "use crate::model::{Offset, self}; use super::b::Thing; pub(crate) use self::inner::X; mod inner {}"),
    ("replica/a.rs", "pub(in crate::replica) fn f() { use super::*; }"),
    ("replica/a.rs", "use std::time::Duration; use std::net::IpAddr; use std::sync::Arc; static NAMES: &[&str] = &[];"),
    ("replica/a.rs", "#[cfg(test)] mod tests { use crate::log::Segment; use std::sync::Mutex; }"),
    ("replica/a.rs", "#[cfg(all(test, feature = \"sim\"))] use crate::io::File; #[test] fn t() { crate::log::x(); }"),
    ("replica/tests.rs", "use crate::log::Segment;"),
    ("shard/a.rs", "pub use crate::log::Segment; pub use crate::log::open;"),
    ("shard/a.rs", "fn f() { assert!(x, \"Mutex {}\", crate::log::y); Thing { log: 1 } }"),
    (
        "io/mod.rs",
        "//! x\nuse libc::c_int; use std::sync::Mutex; use std::time::Instant; static X: AtomicU64 = AtomicU64::new(0);",
    ),
    ("io/real/a.rs", "thread_local! { static X: u8 = 1; } pub use super::File; pub use glommio::spawn_local;"),
    ("main.rs", "fn main() -> std::process::ExitCode { flumen::cli::run() }"),
    ("lib.rs", "//! x\npub mod log; // y"),
];
