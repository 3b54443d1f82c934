//! The layer rule, kept by a test.
//!
//! What keeps a broker simulatable and its rooms small is a rule that nothing in the language enforces: machines see no
//! devices, devices see no edge, and one room alone names the operating system. A rule that nothing enforces is gone in a
//! year. So the sources are parsed here (not searched as text), every path of every file is resolved to the room it leads
//! to, and an edge that [`TABLE`] does not have is an error, whether it is written as an import, an inline path, a re-export
//! or inside a macro. `fixtures` holds one small file for each way of breaking the rule, and each must be found.
//!
//! The same reading checks what makes rooms readable: no file above [`MAX_FILE_LINES`], no function above
//! [`MAX_FUNCTION_LINES`], and a room that says on its first line what it is for.

#[path = "layers/fixtures.rs"]
mod fixtures;
#[path = "layers/reader.rs"]
mod reader;

use reader::{Source, Violation, check};
use std::collections::BTreeSet;
use std::path::Path;

/// Lines of one file; generated code is exempt.
const MAX_FILE_LINES: usize = 800;
/// Lines of one function, from its signature to its closing brace; tests are exempt.
const MAX_FUNCTION_LINES: usize = 100;

/// Open to every room: the words, which have no I/O, no clock and no randomness.
const WORDS: &[&str] = &["model", "record", "protocol"];
/// Pure state machines. They never see each other; the shard joins them.
const MACHINES: &[&str] = &["access", "controller", "group", "producer", "replica", "transaction"];

/// Each room and the rooms that it may name, beside itself. Rooms that do not exist yet are listed with the design's edges.
const TABLE: &[(&str, &[&[&str]])] = &[
    ("model", &[]),
    ("record", &[&["model"]]),
    ("protocol", &[&["model", "record"]]),
    ("access", &[WORDS]),
    ("controller", &[WORDS]),
    ("group", &[WORDS]),
    ("producer", &[WORDS]),
    ("replica", &[WORDS]),
    ("transaction", &[WORDS]),
    ("io", &[&["model"]]),
    ("log", &[WORDS, &["producer", "io", "config", "telemetry"]]),
    ("quorum", &[WORDS, &["controller", "log", "client", "io", "config", "telemetry"]]),
    ("client", &[WORDS, &["io", "config", "telemetry"]]),
    ("shard", &[WORDS, MACHINES, &["log", "quorum", "client", "io", "config", "telemetry"]]),
    // Of `controller` the image that answers are read from and the commands that are passed on; of `group` what its coordinators are
    // asked and answer; of `io` the pieces that an answer consists of, and the clock.
    ("api", &[WORDS, &["shard", "controller", "group", "io", "config", "telemetry"]]),
    ("server", &[WORDS, &["api", "admin", "shard", "io", "config", "telemetry"]]),
    ("admin", &[WORDS, &["shard", "group", "io", "config", "telemetry"]]),
    // Of `quorum` what a formatted log dir holds for it.
    ("cli", &[WORDS, &["server", "admin", "client", "quorum", "controller", "log", "io", "config", "telemetry"]]),
    ("config", &[WORDS]),
    ("telemetry", &[&["model"]]),
    ("main", &[&["cli", "server", "config", "telemetry", "io", "model"]]),
];

/// The one room that may name the operating system, the reactor, clocks, threads and locks.
const DEVICE_ROOM: &str = "io";

fn may_name(room: &str, other: &str) -> bool {
    TABLE.iter().any(|(name, groups)| *name == room && groups.iter().any(|group| group.contains(&other)))
}

fn is_room(name: &str) -> bool {
    TABLE.iter().any(|(room, _)| *room == name)
}

/// Every source file of the broker, in a fixed order.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("src/ is readable"))
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| {
            let name = entry.path().strip_prefix(&root).unwrap().to_str().expect("source names are UTF-8").to_owned();
            Source::new(&name, std::fs::read_to_string(entry.path()).expect("a source file is readable"))
        })
        .collect()
}

/// The modules that are files, as paths from the crate's root: what a re-export must not open to others.
fn modules(sources: &[Source]) -> BTreeSet<Vec<String>> {
    sources.iter().map(|source| source.module.clone()).filter(|module| !module.is_empty()).collect()
}

#[test]
fn every_path_in_the_sources_stays_within_the_layer_table() {
    let sources = sources();
    assert!(sources.len() > 15, "the sources were not found: only {} files", sources.len());
    let modules = modules(&sources);
    let found: Vec<Violation> = sources.iter().flat_map(|source| check(source, &modules)).collect();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), lines.join("\n"));
}

#[test]
fn every_way_of_breaking_the_rule_is_found() {
    for fixture in fixtures::BROKEN {
        let source = Source::new(fixture.file, fixture.text.to_owned());
        let found: Vec<_> = check(&source, &fixtures::modules()).into_iter().map(|violation| violation.rule).collect();
        assert!(
            found.contains(&fixture.rule),
            "{:?} was not found in {}:\n{}\nfound {found:?}",
            fixture.rule,
            fixture.file,
            fixture.text
        );
    }
}

#[test]
fn what_the_rule_allows_is_not_reported() {
    for (file, text) in fixtures::CLEAN {
        let found = check(&Source::new(file, (*text).to_owned()), &fixtures::modules());
        assert!(found.is_empty(), "{file} is clean, but: {}\n{text}", found[0]);
    }
}

#[test]
fn a_file_or_function_over_the_limit_is_found() {
    let function = |lines: usize| format!("//! x\nfn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2));
    let rules = |text: String| -> Vec<reader::Rule> {
        check(&Source::new("log/long.rs", text), &BTreeSet::new()).into_iter().map(|violation| violation.rule).collect()
    };
    assert_eq!(rules(function(MAX_FUNCTION_LINES)), []);
    assert_eq!(rules(function(MAX_FUNCTION_LINES + 1)), [reader::Rule::LongFunction]);
    assert_eq!(rules("// line\n".repeat(MAX_FILE_LINES)), []);
    assert_eq!(rules("// line\n".repeat(MAX_FILE_LINES + 1)), [reader::Rule::LongFile]);
}

#[test]
fn the_table_has_no_cycle_and_every_room_of_the_map_is_in_it() {
    // A room may only name rooms that stand before it in some order: peel off rooms whose names are all placed.
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < TABLE.len() {
        let next: Vec<&str> = TABLE
            .iter()
            .filter(|(room, _)| !placed.contains(room))
            .filter(|(_, groups)| groups.iter().flat_map(|group| group.iter()).all(|other| placed.contains(other)))
            .map(|(room, _)| *room)
            .collect();
        assert!(!next.is_empty(), "the rooms left over form a cycle: placed are {placed:?}");
        placed.extend(next);
    }
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in map.lines().filter(|line| line.starts_with("pub mod ")) {
        let (room, comment) = line["pub mod ".len()..].split_once(';').expect("a room ends with a semicolon");
        assert!(is_room(room), "src/lib.rs has the room {room}, the table has not");
        assert!(comment.trim_start().starts_with("// "), "src/lib.rs says in one line what {room} is for");
    }
}
