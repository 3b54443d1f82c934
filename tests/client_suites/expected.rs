//! What is expected of each test of a client's own suite, and how what happened differs from it.
//!
//! The lists (`franz-go.txt`, `sarama.txt`) have a line a test: a word, the test's name, and, unless it passes, a part of what it says then,
//! in quotation marks, and why. What it says is looked for: a test that fails for another reason than the one listed has found something.
//! A subtest stands in its own line when something else than passing is expected of it.
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
    /// Of a test that does not pass: a part of what it says.
    says: &'a str,
    reason: &'a str,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Found {
    pub outcomes: BTreeMap<String, Outcome>,
    /// What each test said, its stack when its time was up included.
    said: BTreeMap<String, String>,
}

impl Found {
    pub fn add(&mut self, other: Found) {
        self.outcomes.extend(other.outcomes);
        self.said.extend(other.said);
    }

    /// For a test that ran alone: `output` came from it, wherever it stands.
    pub fn all_said_by(&mut self, test: &str, output: String) {
        self.said.insert(test.to_owned(), output);
    }
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

    /// What is expected of one test and its subtests.
    pub fn only(mut self, test: &str) -> Expected<'a> {
        self.rows.retain(|row| row.name.strip_prefix(test).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        self
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

    /// How many rows, subtests included, there are of each kind.
    pub fn summary(&self) -> String {
        let of = |word: Word| self.rows.iter().filter(|row| row.word == word).count();
        let (passes, lacks) = (of(Word::Passes), of(Word::Lacks) + of(Word::Waits));
        let (passes, lacks) = if self.kind == Kind::Flumen { (passes, lacks) } else { (passes + lacks, 0) };
        format!(
            "{passes} pass, {lacks} lack something here, {} fail and {} skip themselves on every single broker",
            of(Word::Fails),
            of(Word::Skips)
        )
    }

    /// A line for each test that did something else.
    pub fn complaints(&self, found: &Found) -> Vec<String> {
        let mut complaints: Vec<String> = self.rows.iter().filter_map(|row| self.complaint(row, found)).collect();
        for (name, outcome) in &found.outcomes {
            if *outcome != Outcome::Passed && !self.rows.iter().any(|row| row.name == name) && !self.is_below_one_that_fails(name)
            {
                complaints.push(format!("{name}: {outcome:?}, and is not listed"));
            }
        }
        complaints
    }

    fn complaint(&self, row: &Row<'_>, found: &Found) -> Option<String> {
        let here = self.kind == Kind::Flumen;
        let outcome = found.outcomes.get(row.name).copied();
        let passes = match row.word {
            Word::Passes => true,
            Word::Lacks | Word::Waits => !here,
            Word::Fails | Word::Skips => false,
        };
        let as_expected = match row.word {
            _ if passes => outcome == Some(Outcome::Passed),
            Word::Fails => outcome == Some(Outcome::Failed),
            Word::Skips => outcome == Some(Outcome::Skipped),
            // When its time was up it has no outcome.
            Word::Waits => outcome != Some(Outcome::Passed),
            Word::Passes | Word::Lacks => matches!(outcome, Some(Outcome::Failed | Outcome::Skipped)),
        };
        let happened = outcome.map_or("did not end".to_owned(), |outcome| format!("{outcome:?}"));
        if !as_expected {
            return Some(format!("{}: {happened}, listed as {:?} {}", row.name, row.word, row.reason));
        }
        let says_so = passes || found.said.get(row.name).is_some_and(|said| said.contains(row.says));
        (!says_so).then(|| format!("{}: {happened}, but does not say {:?}, listed as {}", row.name, row.says, row.reason))
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
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let quoted = rest.trim().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let (says, reason) = quoted.map_or(("", rest), |(says, reason)| (says, reason));
    let reason = reason.trim();
    let explained = !says.is_empty() && !reason.is_empty();
    assert_eq!(word == Word::Passes, rest.is_empty(), "what does not pass has a reason, and nothing else has: {line}");
    assert!(word == Word::Passes || explained, "what does not pass says something in quotation marks: {line}");
    Row { word, name, says, reason }
}

/// How each test ended and what it said, as Go's test binaries tell it in the format for `test2json`: a mark (SYN) stands before each line of
/// theirs, so that what a test prints is not taken for one. What follows such a line is of the test that it names.
pub fn read(output: &str) -> Found {
    const ENDS: [(&str, Outcome); 3] =
        [("--- PASS: ", Outcome::Passed), ("--- FAIL: ", Outcome::Failed), ("--- SKIP: ", Outcome::Skipped)];
    const TURNS: [&str; 4] = ["=== RUN ", "=== CONT ", "=== NAME ", "=== PAUSE "];
    let mut found = Found::default();
    for part in output.split('\u{16}').skip(1) {
        let (line, said) = part.split_once('\n').unwrap_or((part, ""));
        let after = |begin: &str| line.strip_prefix(begin).map(|rest| rest.split_whitespace().next().unwrap_or(""));
        let end = ENDS.iter().find_map(|(begin, outcome)| Some((after(begin)?, *outcome)));
        let Some(name) = end.map(|(name, _)| name).or_else(|| TURNS.iter().find_map(|begin| after(begin))) else { continue };
        found.said.entry(name.to_owned()).or_default().push_str(said);
        if let Some((name, outcome)) = end {
            found.outcomes.insert(name.to_owned(), outcome);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\npasses A\npasses B\nlacks B/new \"no new\" it is new\nfails C \"one broker\" wants two brokers\n\
                        skips D \"keys\" no keys\n\nwaits E \"asks\" asks for ever\n";

    fn found(list: &[(&str, Outcome)]) -> Found {
        let said = [("B/new", "there is no new one"), ("C", "only one broker"), ("D", "wants keys"), ("E", "stack: asks")];
        Found {
            outcomes: list.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect(),
            said: said.iter().map(|(name, said)| ((*name).to_owned(), (*said).to_owned())).collect(),
        }
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
        assert_eq!(expected.summary(), "2 pass, 2 lack something here, 1 fail and 1 skip themselves on every single broker");
        let only = Expected::parse(LIST, Kind::Flumen).only("B");
        assert_eq!((only.together(), only.alone(), only.rows.len()), (vec!["B"], vec![], 2));
        let on_kafka = Expected::parse(LIST, Kind::Kafka);
        assert_eq!((on_kafka.together(), on_kafka.alone()), (vec!["A", "B", "C", "D", "E"], vec![]));
        let mut all = good();
        all[3].1 = Outcome::Passed;
        all.push(("E", Outcome::Passed));
        assert_eq!(on_kafka.complaints(&found(&all)), [""; 0]);
        assert_eq!(on_kafka.summary(), "4 pass, 0 lack something here, 1 fail and 1 skip themselves on every single broker");
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
    fn a_failure_for_another_reason_is_one() {
        let expected = Expected::parse(LIST, Kind::Flumen);
        for name in ["B/new", "C", "D", "E"] {
            let mut other = found(&good());
            other.said.insert(name.to_owned(), "timed out".to_owned());
            assert_eq!(expected.complaints(&other).len(), 1, "{name}");
            other.said.remove(name);
            assert_eq!(expected.complaints(&other).len(), 1, "{name} said nothing");
        }
    }

    #[test]
    fn what_tests_say_is_found_with_their_ends() {
        let output = "\u{16}=== RUN   TestA\nprinted \u{16}=== RUN   TestA/b_c\n    of b\n\u{16}=== NAME  TestA\n    of a\n\
                      \u{16}--- PASS: TestA (0.10s)\n    \u{16}--- FAIL: TestA/b_c (1.00s)\n--- PASS: TestD (0.00s)\n\
                      \u{16}=== NAME  \n\u{16}--- SKIP: TestE (0.00s)\n    why\nPASS\n";
        let found = read(output);
        let ends = [("TestA", Outcome::Passed), ("TestA/b_c", Outcome::Failed), ("TestE", Outcome::Skipped)];
        assert_eq!(found.outcomes, ends.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect());
        for (name, said) in [("TestA", "printed "), ("TestA", "of a"), ("TestA/b_c", "of b"), ("TestE", "why")] {
            assert!(found.said[name].contains(said), "{name}: {:?}", found.said);
        }
        assert!(!found.said["TestA"].contains("of b"));
    }
}
