//! What is shipped in `config/` is read by the code that reads a user's files, and what the README shows is what there is: an
//! example that does not work is worse than none.

use flumen::config::BrokerConfig;
use std::path::Path;

fn repository(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sample with its commented-out settings switched on, one at a time.
fn variants(sample: &str) -> Vec<String> {
    let optional: Vec<&str> = sample.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| is_setting(line)).collect();
    assert!(optional.len() >= 3, "the sample shows optional settings");
    optional.iter().map(|line| format!("{sample}\n{line}\n")).chain([sample.to_owned()]).collect()
}

fn is_setting(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '.') && key.contains('.'))
}

#[test]
fn the_sample_starts_without_a_warning() {
    for text in variants(&repository("config/server.properties")) {
        let (config, warnings) =
            BrokerConfig::load(Some(text.as_bytes()), &[]).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.explicit("node.id"), Some("1"));
    }
}

#[test]
fn the_samples_of_a_cluster_are_read_without_a_warning_and_fit_together() {
    let mut nodes = vec![];
    for (file, roles) in [("combined", (true, true)), ("controller", (false, true)), ("broker", (true, false))] {
        for text in variants(&repository(&format!("config/cluster/{file}.properties"))) {
            let (config, warnings) =
                BrokerConfig::load(Some(text.as_bytes()), &[]).unwrap_or_else(|error| panic!("{file}: {error}:\n{text}"));
            assert!(warnings.is_empty(), "{file}: {warnings:?}");
            let found = config.process_roles();
            assert_eq!((found.broker, found.controller), roles, "{file}");
            assert_eq!(config.quorum_voters().len(), 3, "{file}");
            assert!(!config.is_alone(), "{file}");
            nodes.push((file, config));
        }
    }
    let of = |file: &str| nodes.iter().find(|(name, _)| *name == file).map(|(_, config)| config).unwrap();
    assert_eq!(of("broker").quorum_voters(), of("controller").quorum_voters());
    assert_eq!(of("broker").controller_listener_names(), of("controller").controller_listener_names());
}

#[test]
fn every_setting_of_the_readme_is_honoured() {
    let readme = repository("README.md");
    let settings: Vec<(String, String)> = readme
        .split('`')
        .filter(|part| is_setting(part))
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert!(settings.len() >= 2, "the README shows settings");
    for setting in settings {
        let (_, warnings) =
            BrokerConfig::load(None, std::slice::from_ref(&setting)).unwrap_or_else(|error| panic!("{setting:?}: {error}"));
        assert!(warnings.is_empty(), "{setting:?}: {warnings:?}");
    }
}

#[test]
fn the_readme_names_the_minutes_of_every_tier() {
    let (readme, runner) = (repository("README.md"), repository("tests/runner/main.py"));
    for (tier, command) in [("test", "tests/run"), ("ci", "tests/run ci"), ("long", "tests/run long")] {
        let key = format!("\"{tier}\": ");
        let minutes: String =
            runner.split(&key).nth(1).expect("the runner's limit").chars().take_while(char::is_ascii_digit).collect();
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{command}` |"))).expect("a row for the tier");
        assert!(row.contains(&format!("| {minutes} |")), "{command}: {minutes} minutes, but the README says {row}");
    }
}
