//! Generates `src/protocol/generated` (and `every_message.rs` here, for other tests) from Apache Kafka's own message schemas, and fails when what is committed differs.
//!
//! The schemas lie in Kafka's published jars, which Maven fetches; they are not part of this repository. `cargo test --test codegen`
//! compares, and with `FLUMEN_REGENERATE=1` in the environment it writes the files.

mod maven;
mod rust;
mod schema;
mod tables;

use schema::{Kind, Message};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Every generated file by name.
fn generate(messages: &[Message]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("mod.rs".to_owned(), tables::mod_file(messages)),
        ("api_key.rs".to_owned(), tables::api_key_file(messages)),
        ("metadata_record.rs".to_owned(), tables::metadata_record_file(messages)),
        ("coordinator_record.rs".to_owned(), tables::coordinator_record_file(messages)),
    ]);
    for message in messages {
        let answers = |m: &&Message| m.kind == Kind::Response && m.api_key == message.api_key;
        let response = messages.iter().find(answers).filter(|_| message.kind == Kind::Request);
        if message.kind == Kind::Request {
            let response = response.unwrap_or_else(|| panic!("{} has no response", message.name));
            assert_eq!(message.versions, response.versions, "{} and its response differ in versions", message.name);
            assert_eq!(message.flexible, response.flexible, "{} and its response differ in flexible versions", message.name);
        }
        let file = format!("{}.rs", rust::snake_case(&message.name));
        let text = rust::message_file(message, response.map(|m| m.name.as_str()));
        assert!(files.insert(file, text).is_none(), "two messages for one file: {}", message.name);
    }
    files
}

/// Formats a directory of modules in place, under the repository's own style.
fn format(directory: &Path) {
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(maven::root())
        .arg(directory.join("mod.rs"))
        .status()
        .expect("`rustfmt` must be installed: rustup component add rustfmt");
    assert!(status.success(), "rustfmt rejects the generated code in {}", directory.display());
}

fn read_all(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).map(|entries| entries.map(|e| e.expect("a readable entry").path()));
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a readable file"))
    };
    entries.map_or_else(|_| BTreeMap::new(), |paths| paths.map(read).collect())
}

fn write_all(directory: &Path, files: &BTreeMap<String, String>) {
    if directory.exists() {
        std::fs::remove_dir_all(directory).expect("generated files can be removed");
    }
    std::fs::create_dir_all(directory).expect("a directory for generated files");
    for (name, text) in files {
        std::fs::write(directory.join(name), text).expect("a generated file");
    }
}

#[test]
fn generated_code_is_up_to_date() {
    let messages = schema::load(&maven::schemas());
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let fresh_directory = scratch.path().join("generated");
    write_all(&fresh_directory, &generate(&messages));
    format(&fresh_directory);
    let fresh = read_all(&fresh_directory);
    let list = tables::every_message_file(&messages);

    let committed_directory = maven::root().join("src/protocol/generated");
    let committed_list = maven::root().join("tests/codegen/every_message.rs");
    if std::env::var_os("FLUMEN_REGENERATE").is_some() {
        write_all(&committed_directory, &fresh);
        std::fs::write(&committed_list, list).expect("the list of messages");
        return;
    }
    assert_eq!(std::fs::read_to_string(&committed_list).unwrap_or_default(), list, "every_message.rs is stale");
    let committed = read_all(&committed_directory);
    let differs = |name: &&String| committed.get(*name) != fresh.get(*name);
    let mut stale: Vec<&String> = fresh.keys().chain(committed.keys()).filter(differs).collect();
    stale.dedup();
    assert!(stale.is_empty(), "run FLUMEN_REGENERATE=1 cargo test --test codegen; these differ: {stale:?}");
}

/// The schemas that the design counts on are all there.
#[test]
fn no_schema_is_missing() {
    let messages = schema::load(&maven::schemas());
    let count = |kind| messages.iter().filter(|m| m.kind == kind).count();
    assert_eq!(count(Kind::Request), count(Kind::Response));
    assert_eq!(count(Kind::Metadata), 26);
    assert_eq!((count(Kind::CoordinatorKey), count(Kind::CoordinatorValue)), (25, 25));
    for name in ["LeaderChangeMessage", "SnapshotHeaderRecord", "SnapshotFooterRecord", "KRaftVersionRecord", "VotersRecord"] {
        assert!(messages.iter().any(|m| m.name == name), "{name}");
    }
    for name in ["EndTxnMarker", "ProducerSnapshot", "RequestHeader", "ResponseHeader"] {
        assert!(messages.iter().any(|m| m.name == name), "{name}");
    }
}
