//! What the broker tells about itself: log lines, and what each core counts for the metrics endpoint.

mod histogram;
mod requests;

pub use histogram::Histogram;
pub use requests::{ApiStatistics, RequestStatistics};

use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error, at `info` and above unless `FLUMEN_LOG` says otherwise (`FLUMEN_LOG=debug`,
/// `FLUMEN_LOG=flumen::log=trace,info`). A second call does nothing.
pub fn init_log() {
    let filter = EnvFilter::try_from_env("FLUMEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}
