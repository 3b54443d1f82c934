//! Levels of the broker's loggers, which may change while it runs (KIP-412).
//!
//! A logger is a room of the broker, by the name under which its log lines come; [`ROOT_LOGGER`] stands for all that have no level of
//! their own. Levels have Kafka's names. They live as long as the process.

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::reload::Handle;

/// The logger of which all others are parts.
pub const ROOT_LOGGER: &str = "root";

/// The rooms that log.
const LOGGERS: &[&str] = &["flumen::api", "flumen::cli", "flumen::log", "flumen::quorum", "flumen::server", "flumen::shard"];

/// What a level may be called. Nothing is more severe than an error here, so `FATAL` silences a logger.
pub const VALID_LEVELS: &[&str] = &["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "FATAL" => LevelFilter::OFF,
        "ERROR" => LevelFilter::ERROR,
        "WARN" => LevelFilter::WARN,
        "INFO" => LevelFilter::INFO,
        "DEBUG" => LevelFilter::DEBUG,
        "TRACE" => LevelFilter::TRACE,
        _ => return None,
    })
}

fn name(level: LevelFilter) -> &'static str {
    VALID_LEVELS.iter().find(|name| self::level(name) == Some(level)).expect("every level has a name")
}

/// The loggers with their levels; clones share them. The default has no loggers: whoever runs without log lines.
#[derive(Clone, Default)]
pub struct LogLevels {
    handle: Option<Handle<Targets, Registry>>,
}

impl LogLevels {
    pub(super) fn of(handle: Handle<Targets, Registry>) -> Self {
        Self { handle: Some(handle) }
    }

    /// Every logger with the level in force.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        let in_force = |targets: &Targets| {
            let all = std::iter::once(&ROOT_LOGGER).chain(LOGGERS);
            all.map(|logger| (*logger, name(level_of(targets, logger)))).collect()
        };
        self.handle.as_ref().and_then(|handle| handle.with_current(in_force).ok()).unwrap_or_default()
    }

    /// Whether there is such a logger.
    pub fn has(&self, logger: &str) -> bool {
        self.handle.is_some() && (logger == ROOT_LOGGER || LOGGERS.contains(&logger))
    }

    /// Gives a logger a level, one of [`VALID_LEVELS`], of its own; with `None` it follows the root again. Whether that was done.
    pub fn set(&self, logger: &str, to: Option<&str>) -> bool {
        let to = match to.map(level) {
            Some(None) => return false,
            Some(Some(level)) => Some(level),
            None => None,
        };
        let Some(handle) = self.handle.as_ref().filter(|_| self.has(logger)) else { return false };
        handle.modify(|targets| *targets = with_level(targets, logger, to)).is_ok()
    }
}

fn root_of(targets: &Targets) -> LevelFilter {
    targets.default_level().unwrap_or(LevelFilter::OFF)
}

/// The level of the longest name that the logger's begins with.
fn level_of(targets: &Targets, logger: &str) -> LevelFilter {
    let own = targets.iter().filter(|(target, _)| logger != ROOT_LOGGER && logger.starts_with(target));
    own.max_by_key(|(target, _)| target.len()).map_or(root_of(targets), |(_, level)| level)
}

fn with_level(targets: &Targets, logger: &str, to: Option<LevelFilter>) -> Targets {
    let others = targets.iter().filter(|(target, _)| *target != logger).map(|(target, level)| (target.to_owned(), level));
    let others = Targets::new().with_targets(others);
    match (logger, to) {
        (ROOT_LOGGER, to) => others.with_default(to.unwrap_or(LevelFilter::INFO)),
        (_, Some(level)) => others.with_default(root_of(targets)).with_target(logger, level),
        (_, None) => others.with_default(root_of(targets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_follows_the_root_until_it_has_a_level_of_its_own() {
        let (_filter, handle) = tracing_subscriber::reload::Layer::new("warn".parse::<Targets>().unwrap());
        let levels = LogLevels::of(handle);
        let of = |logger: &str| levels.all().into_iter().find(|(name, _)| *name == logger).unwrap().1;
        assert_eq!((of("root"), of("flumen::log")), ("WARN", "WARN"));
        assert!(levels.set("flumen::log", Some("TRACE")));
        assert!(levels.set("root", Some("ERROR")));
        assert_eq!((of("root"), of("flumen::log"), of("flumen::api")), ("ERROR", "TRACE", "ERROR"));
        assert!(levels.set("flumen::log", None));
        assert!(levels.set("flumen::api", Some("FATAL")));
        assert_eq!((of("root"), of("flumen::log"), of("flumen::api")), ("ERROR", "ERROR", "FATAL"));
        assert!(!levels.set("flumen::log", Some("LOUD")) && !levels.set("no::such", Some("INFO")));
        assert!(levels.has("root") && !levels.has("no::such"));
    }

    #[test]
    fn the_default_has_no_loggers() {
        let levels = LogLevels::default();
        assert!(levels.all().is_empty() && !levels.has("root") && !levels.set("root", Some("INFO")));
    }
}
