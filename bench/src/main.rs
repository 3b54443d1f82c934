//! `flumen-bench`: see [`flumen_bench`].

use clap::Parser;
use flumen_bench::args::Cli;
use flumen_bench::commands;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("FAILED: {}", failure.0);
            ExitCode::FAILURE
        }
    }
}
