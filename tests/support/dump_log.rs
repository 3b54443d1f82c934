//! Kafka's own judge of a data directory: `kafka-dump-log`, run over every file, its output read line by line.

use super::broker::files_below;
use super::{process, tools};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MAIN: &str = "kafka.tools.DumpLogSegments";
/// What the tool says when it finds damage; it does not always fail then.
const COMPLAINTS: &[&str] = &[
    "isvalid: false",
    "Mismatches in",
    "Index offset:",
    "Found timestamp mismatch",
    "Found out of order timestamp",
    "Non-consecutive",
    "Exception",
    "orrupt",
    "Indexed offset:",
    "Index timestamp:",
    "Found ",
    "bytes at end of file",
    "Error",
];
/// Bytes of file names in one call: Linux takes 128 KiB in one argument.
const MOST_NAMES: usize = 64 << 10;
const DATA: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];

/// What a directory that passed holds.
#[derive(Debug, Default)]
pub struct Checked {
    pub files: usize,
    /// By directory name (`topic-0`): the records of all its segments.
    pub records: BTreeMap<String, usize>,
    /// By directory name: its segments.
    pub segments: BTreeMap<String, usize>,
}

/// Runs the tool with `--deep-iteration` and with `--index-sanity-check` over every file of every partition below `data`, and
/// with the metadata decoder over the metadata log. The broker must have been stopped cleanly: a running one (Apache Kafka
/// included) has indexes that end in zeroes.
///
/// # Errors
/// Each complaint of the tool.
pub fn check(data: &Path) -> Result<Checked, Vec<String>> {
    let (checked, complaints) = complaints(data);
    if complaints.is_empty() { Ok(checked) } else { Err(complaints) }
}

/// The same for a directory in which `topic` was compacted: the tool tells which of its offsets are missing, and nothing else.
///
/// # Errors
/// Each other complaint of the tool.
pub fn check_compacted(data: &Path, topic: &str) -> Result<Checked, Vec<String>> {
    let (checked, mut complaints) = complaints(data);
    let gaps = format!("Non-consecutive offsets in {}/{topic}-", data.display());
    complaints.retain(|complaint| !complaint.contains(&gaps));
    if complaints.is_empty() { Ok(checked) } else { Err(complaints) }
}

fn complaints(data: &Path) -> (Checked, Vec<String>) {
    let has_extension = |path: &PathBuf| DATA.iter().any(|extension| path.extension().is_some_and(|found| found == *extension));
    let (metadata, partitions): (Vec<PathBuf>, Vec<PathBuf>) = files_below(data)
        .into_iter()
        .filter(|path| {
            path.components().count() == 2 && (has_extension(path) || path.extension().is_some_and(|e| e == "checkpoint"))
        })
        .partition(|path| path.starts_with("__cluster_metadata-0"));
    let mut complaints = Vec::new();
    let mut checked = Checked { files: partitions.len(), ..Checked::default() };
    let deep = dump(data, &partitions, &["--deep-iteration"], &mut complaints);
    count(&deep, &mut checked);
    // The sanity check reads an index and nothing else; logs and snapshots have none.
    let indexes: Vec<PathBuf> =
        partitions.iter().filter(|path| path.extension().is_some_and(|e| e == "index" || e == "timeindex")).cloned().collect();
    let sane = dump(data, &indexes, &["--index-sanity-check"], &mut complaints);
    for index in &indexes {
        let verdict = format!("{} passed sanity check.", data.join(index).display());
        // The index of a segment that has had less than an interval's bytes is empty, which the tool says instead of a verdict.
        let empty = data.join(index).metadata().is_ok_and(|found| found.len() == 0);
        if !empty && !sane.lines().any(|line| line == verdict) {
            complaints.push(format!("{} did not pass the sanity check", index.display()));
        }
    }
    let decoded: Vec<PathBuf> =
        metadata.into_iter().filter(|path| path.extension().is_some_and(|e| e == "log" || e == "checkpoint")).collect();
    if !decoded.is_empty() {
        checked.files += decoded.len();
        dump(data, &decoded, &["--cluster-metadata-decoder"], &mut complaints);
    }
    (checked, complaints)
}

/// What the tool says of the files, in as many calls as their names need.
fn dump(data: &Path, files: &[PathBuf], mode: &[&str], complaints: &mut Vec<String>) -> String {
    let names: Vec<String> = files.iter().map(|file| data.join(file).display().to_string()).collect();
    let (mut text, mut rest) = (String::new(), &names[..]);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|name| {
            bytes += name.len() + 1;
            bytes <= MOST_NAMES
        });
        let (some, others) = rest.split_at(fitting.count().max(1));
        text.push_str(&dump_some(some, mode, complaints));
        rest = others;
    }
    text
}

fn dump_some(names: &[String], mode: &[&str], complaints: &mut Vec<String>) -> String {
    let list = names.join(",");
    let finished = tools::kafka_tool_finished(MAIN, &[mode, &["--files", &list]].concat(), b"");
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    if !finished.status.success() {
        complaints.push(format!("{mode:?}: {:?}\n{}", finished.status, process::tail(&finished.stderr)));
    }
    for line in text.lines().chain(finished.stderr.lines()) {
        if let Some(complaint) = COMPLAINTS.iter().find(|complaint| line.contains(*complaint)) {
            complaints.push(format!("{mode:?}: \"{complaint}\": {}", &line[..line.len().min(300)]));
        }
    }
    for name in names {
        if !text.lines().any(|line| line.strip_prefix("Dumping ") == Some(name)) {
            complaints.push(format!("{mode:?}: {name} was not dumped"));
        }
    }
    text
}

fn count(text: &str, checked: &mut Checked) {
    let mut directory = String::new();
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("Dumping ") {
            let file = Path::new(file);
            directory = file.parent().and_then(Path::file_name).expect("a partition's directory").to_string_lossy().into_owned();
            *checked.segments.entry(directory.clone()).or_default() += usize::from(file.extension().is_some_and(|e| e == "log"));
        } else if line.starts_with("| offset: ") {
            *checked.records.entry(directory.clone()).or_default() += 1;
        }
    }
}
