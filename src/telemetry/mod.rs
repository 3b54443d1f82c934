//! What the broker tells about itself: log lines, and what each core counts for the metrics endpoint.

mod histogram;
mod requests;

pub use histogram::Histogram;
pub use requests::{ApiStatistics, RequestStatistics};

mod levels;

pub use levels::{LogLevels, ROOT_LOGGER, VALID_LEVELS};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends log lines to standard error, at `info` and above (of openraft, which tells each step and each call without an answer, at
/// `error`), unless `FLUMEN_LOG` says otherwise (`FLUMEN_LOG=debug`, `FLUMEN_LOG=flumen::log=trace,info`), until the levels are
/// changed. A second call does nothing.
pub fn init_log() -> LogLevels {
    let wanted = std::env::var("FLUMEN_LOG").ok().and_then(|text| text.parse().ok());
    let usual = || Targets::new().with_default(LevelFilter::INFO).with_target("openraft", LevelFilter::ERROR);
    let targets = wanted.unwrap_or_else(usual);
    let (filter, handle) = reload::Layer::new(targets);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match tracing_subscriber::registry().with(filter).with(lines).try_init() {
        Ok(()) => LogLevels::of(handle),
        Err(_) => LogLevels::default(),
    }
}
