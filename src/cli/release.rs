//! Releases of Apache Kafka and the levels of `metadata.version` that they brought: `--release-version` in, a level out, and back.

/// Levels that this broker supports, from the lowest, by Kafka's names. The last of a release is what its number alone means.
#[rustfmt::skip]
const LEVELS: &[(&str, i16)] = &[
    ("3.7-IV2", 17), ("3.7-IV3", 18), ("3.7-IV4", 19), ("3.8-IV0", 20), ("3.9-IV0", 21), ("4.0-IV0", 22), ("4.0-IV1", 23),
    ("4.0-IV2", 24), ("4.0-IV3", 25), ("4.1-IV0", 26), ("4.1-IV1", 27), ("4.2-IV0", 28), ("4.2-IV1", 29),
];

/// The newest level.
pub(super) fn latest() -> i16 {
    LEVELS.last().expect("there are levels").1
}

/// Kafka's name of a level.
pub(super) fn name(level: i16) -> &'static str {
    LEVELS.iter().find(|(_, one)| *one == level).map_or("unknown", |(name, _)| name)
}

/// Reads a level by its number.
///
/// # Errors
/// A level that is not supported.
pub(super) fn supported(level: i16) -> Result<i16, String> {
    match LEVELS.iter().any(|(_, one)| *one == level) {
        true => Ok(level),
        false => Err(format!("metadata.version {level} is not supported; {}", range())),
    }
}

/// Reads a release (`4.2`, `4.1.1`) or one of its steps (`4.0-IV1`).
///
/// # Errors
/// One that is not known, or not supported.
pub(super) fn parse(version: &str) -> Result<i16, String> {
    // Only the first two numbers of a release count, whatever bug fixes it has.
    let short = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let is_it = |name: &str| name == short || name.split('-').next() == Some(short.as_str());
    let found = LEVELS.iter().rev().find(|(name, _)| is_it(name));
    found.map(|(_, level)| *level).ok_or_else(|| format!("Version {version} is not a supported version; {}", range()))
}

fn range() -> String {
    format!("the minimum is {}, the maximum is {}", LEVELS[0].0, name(latest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{MAX_METADATA_VERSION, MIN_METADATA_VERSION};

    #[test]
    fn the_levels_are_those_that_the_controller_supports() {
        let levels: Vec<i16> = LEVELS.iter().map(|(_, level)| *level).collect();
        assert_eq!(levels, (MIN_METADATA_VERSION..=MAX_METADATA_VERSION).collect::<Vec<_>>());
        assert_eq!(latest(), MAX_METADATA_VERSION);
    }

    #[test]
    fn a_release_is_its_last_level_and_a_step_is_itself() {
        for (text, level) in
            [("4.2", 29), ("4.2.0", 29), ("4.2-IV0", 28), ("3.7", 19), ("3.7.2", 19), ("3.7-IV2", 17), ("4.0-IV1", 23)]
        {
            assert_eq!(parse(text), Ok(level), "{text}");
        }
        for text in ["", "4", "4.3", "3.6", "3.7-IV1", "4.2-IV9", "latest", "-IV1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!((name(29), name(17), name(5)), ("4.2-IV1", "3.7-IV2", "unknown"));
        assert_eq!(supported(20), Ok(20));
        assert!(supported(30).unwrap_err().contains("the maximum is 4.2-IV1"));
    }
}
