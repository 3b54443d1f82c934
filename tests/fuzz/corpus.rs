//! The corpus: `corpus/<target>/<file>.txt`, one case a line, its kind and its bytes in hex.

use super::{Case, hex};
use std::fs;
use std::path::{Path, PathBuf};

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// All cases of a target, in the order of its files.
pub fn read(target: &str) -> Vec<Case> {
    let directory = directory(target);
    let listed = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> =
        listed.map(|entry| entry.unwrap().path()).filter(|path| path.extension() == Some("txt".as_ref())).collect();
    files.sort();
    files.iter().flat_map(|path| parse(&fs::read_to_string(path).unwrap())).collect()
}

pub fn parse(text: &str) -> Vec<Case> {
    let case = |line: &str| {
        let (kind, hex) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no case: {line}"));
        Case { kind: kind.to_owned(), bytes: unhex(hex) }
    };
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(case).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len() % 2 == 0, "half a byte: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[allow(dead_code)] // for those who make a corpus
pub fn write(target: &str, file: &str, comment: &str, cases: &[Case]) {
    let lines: String = cases.iter().map(|case| format!("{} {}\n", case.kind, hex(&case.bytes))).collect();
    fs::create_dir_all(directory(target)).unwrap();
    fs::write(directory(target).join(file), format!("# {comment}\n{lines}")).unwrap();
}
