//! What is expected of each test of a client's own suite, and how what happened differs from it.
//!
//! The lists (`franz-go.txt`, `sarama.txt`) have a line a test: a word, the test's name, and, unless it passes, why. A subtest stands in its
//! own line when something else than passing is expected of it.
//!
//! ```text
//! passes  it passes
//! fails   it fails on every single broker: it wants several of them, or to start and stop them
//! skips   it skips itself on every single broker
//! lacks   it passes on Apache Kafka, but not here: what it asks for is not there yet
//! waits   as `lacks`, and the client would ask again for minutes: it runs alone, and not for long
//! ```

use crate::support::broker::Kind;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Passes,
    Fails,
    Skips,
    Lacks,
    Waits,
}

#[derive(Debug)]
struct Row<'a> {
    word: Word,
    name: &'a str,
    reason: &'a str,
}

pub struct Expected<'a> {
    rows: Vec<Row<'a>>,
    kind: Kind,
}

impl<'a> Expected<'a> {
    /// # Panics
    /// When a line is not as it should be.
    pub fn parse(text: &'a str, kind: Kind) -> Expected<'a> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let rows: Vec<Row<'_>> = lines.map(parse_row).collect();
        let mut names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "a test is listed twice: {names:?}");
        Expected { rows, kind }
    }

    fn tests(&self, alone: bool) -> impl Iterator<Item = &'a str> {
        let here = self.kind == Kind::Flumen;
        let of_kind = move |row: &&Row<'a>| (here && row.word == Word::Waits) == alone;
        self.rows.iter().filter(of_kind).map(|row| row.name).filter(|name| !name.contains('/'))
    }

    /// The tests that run in one process.
    pub fn together(&self) -> Vec<&'a str> {
        self.tests(false).collect()
    }

    /// The tests that run each in a process of its own, for a short time.
    pub fn alone(&self) -> Vec<&'a str> {
        self.tests(true).collect()
    }

    /// Tests that must pass, subtests not counted.
    pub fn passing(&self) -> usize {
        self.rows.iter().filter(|row| row.word == Word::Passes && !row.name.contains('/')).count()
    }

    /// A line for each test that did something else.
    pub fn complaints(&self, found: &BTreeMap<String, Outcome>) -> Vec<String> {
        let mut complaints: Vec<String> =
            self.rows.iter().filter_map(|row| self.complaint(row, found.get(row.name).copied())).collect();
        for (name, outcome) in found {
            if *outcome != Outcome::Passed && !self.rows.iter().any(|row| row.name == name) && !self.is_below_one_that_fails(name)
            {
                complaints.push(format!("{name}: {outcome:?}, and is not listed"));
            }
        }
        complaints
    }

    fn complaint(&self, row: &Row<'_>, found: Option<Outcome>) -> Option<String> {
        let here = self.kind == Kind::Flumen;
        let as_expected = match row.word {
            Word::Passes => found == Some(Outcome::Passed),
            Word::Fails => found == Some(Outcome::Failed),
            Word::Skips => found == Some(Outcome::Skipped),
            Word::Lacks if here => matches!(found, Some(Outcome::Failed | Outcome::Skipped)),
            // When its time was up it has said nothing.
            Word::Waits if here => found != Some(Outcome::Passed),
            Word::Lacks | Word::Waits => found == Some(Outcome::Passed),
        };
        let happened = found.map_or("did not run".to_owned(), |found| format!("{found:?}"));
        (!as_expected).then(|| format!("{}: {happened}, listed as {:?} {}", row.name, row.word, row.reason))
    }

    /// Whether it is a subtest of a test that need not pass.
    fn is_below_one_that_fails(&self, name: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.word != Word::Passes && name.strip_prefix(row.name).is_some_and(|rest| rest.starts_with('/')))
    }
}

fn parse_row(line: &str) -> Row<'_> {
    let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("no test in the line: {line}"));
    let word = match word {
        "passes" => Word::Passes,
        "fails" => Word::Fails,
        "skips" => Word::Skips,
        "lacks" => Word::Lacks,
        "waits" => Word::Waits,
        other => panic!("{other} is no outcome: {line}"),
    };
    let rest = rest.trim();
    let (name, reason) = rest.split_once(' ').map_or((rest, ""), |(name, reason)| (name, reason.trim()));
    assert_eq!(word == Word::Passes, reason.is_empty(), "what does not pass has a reason, and nothing else has: {line}");
    Row { word, name, reason }
}

/// How each test ended, as Go's test binaries say it in the format for `test2json`: a mark (SYN) stands before each line of theirs, so that
/// what a test prints is not taken for one.
pub fn outcomes(output: &str) -> BTreeMap<String, Outcome> {
    const ENDS: [(&str, Outcome); 3] =
        [("--- PASS: ", Outcome::Passed), ("--- FAIL: ", Outcome::Failed), ("--- SKIP: ", Outcome::Skipped)];
    let mut found = BTreeMap::new();
    for line in output.split('\u{16}').skip(1) {
        for (begin, outcome) in ENDS {
            if let Some(name) = line.strip_prefix(begin).and_then(|rest| rest.split_whitespace().next()) {
                found.insert(name.to_owned(), outcome);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\npasses A\npasses B\nlacks B/new it is new\nfails C wants two brokers\nskips D no keys\n\nwaits E asks for ever\n";

    fn found(list: &[(&str, Outcome)]) -> BTreeMap<String, Outcome> {
        list.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect()
    }

    fn good() -> Vec<(&'static str, Outcome)> {
        let (passed, failed, skipped) = (Outcome::Passed, Outcome::Failed, Outcome::Skipped);
        vec![
            ("A", passed),
            ("A/sub", passed),
            ("B", passed),
            ("B/new", skipped),
            ("C", failed),
            ("C/sub", failed),
            ("D", skipped),
        ]
    }

    #[test]
    fn what_is_expected_is_no_complaint() {
        let expected = Expected::parse(LIST, Kind::Flumen);
        assert_eq!((expected.together(), expected.alone(), expected.passing()), (vec!["A", "B", "C", "D"], vec!["E"], 2));
        assert_eq!(expected.complaints(&found(&good())), [""; 0]);
        let on_kafka = Expected::parse(LIST, Kind::Kafka);
        assert_eq!((on_kafka.together(), on_kafka.alone()), (vec!["A", "B", "C", "D", "E"], vec![]));
        let mut all = good();
        all[3].1 = Outcome::Passed;
        all.push(("E", Outcome::Passed));
        assert_eq!(on_kafka.complaints(&found(&all)), [""; 0]);
    }

    #[test]
    fn everything_else_is_one() {
        let expected = Expected::parse(LIST, Kind::Flumen);
        let after = |name: &'static str, outcome: Option<Outcome>| {
            let mut list = good();
            list.retain(|(listed, _)| *listed != name);
            list.extend(outcome.map(|outcome| (name, outcome)));
            expected.complaints(&found(&list))
        };
        let (passed, failed, skipped) = (Some(Outcome::Passed), Some(Outcome::Failed), Some(Outcome::Skipped));
        for (name, outcome) in [
            ("A", failed),
            ("A", skipped),
            ("A", None),
            ("A/sub", failed),
            ("A/sub", skipped),
            ("B/new", passed),
            ("B/new", None),
            ("C", passed),
            ("C", None),
            ("D", passed),
            ("D", failed),
            ("E", passed),
            ("F", failed),
        ] {
            assert_eq!(after(name, outcome).len(), 1, "{name} {outcome:?}");
        }
        assert_eq!(after("C/sub", passed), [""; 0]);
        assert_eq!(after("E", failed), [""; 0]);
    }

    #[test]
    fn the_ends_of_tests_are_found() {
        let output = "\u{16}=== RUN   TestA\nprinted \u{16}--- PASS: TestA (0.10s)\n    \u{16}--- FAIL: TestA/b_c (1.00s)\n--- PASS: TestD (0.00s)\n\
                      \u{16}--- SKIP: TestE (0.00s)\n    why\nPASS\n";
        let expected = [("TestA", Outcome::Passed), ("TestA/b_c", Outcome::Failed), ("TestE", Outcome::Skipped)];
        assert_eq!(outcomes(output), found(&expected));
    }
}
