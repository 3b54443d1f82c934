//! Kafka's command line tools as an operator calls them: on a broker, and what they print, line by line.

use super::broker::Broker;
use super::process::Finished;
use super::tools;

/// Runs a tool on the broker; everything that it said.
pub fn run(broker: &Broker, tool: &str, arguments: &[&str]) -> Finished {
    let bootstrap = broker.bootstrap();
    let arguments: Vec<&str> = ["--bootstrap-server", &bootstrap].into_iter().chain(arguments.iter().copied()).collect();
    tools::kafka_tool_finished(tool, &arguments, b"")
}

/// The lines that a tool prints when all goes well.
pub fn lines(broker: &Broker, tool: &str, arguments: &[&str]) -> Vec<String> {
    let finished = run(broker, tool, arguments);
    let output = String::from_utf8(finished.stdout).unwrap();
    assert!(finished.status.success(), "{arguments:?}: {output}\n{}", finished.stderr);
    output.lines().map(|line| line.trim().to_owned()).collect()
}

/// What a tool says that must fail.
pub fn complaint(broker: &Broker, tool: &str, arguments: &[&str]) -> String {
    let finished = run(broker, tool, arguments);
    let said = format!("{}\n{}", String::from_utf8_lossy(&finished.stdout), finished.stderr);
    assert!(!finished.status.success(), "{arguments:?} was accepted: {said}");
    said
}

pub fn has(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|line| line == wanted), "{wanted}\nis not in\n{}", lines.join("\n"));
}

/// A file for an option that wants one; it goes away with what is returned.
pub fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a temporary file can be written");
    file
}
