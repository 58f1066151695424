//! The `otel-run` command: runs a program under `libagent.so`, so that it emits OpenTelemetry traces.

mod agent;
mod cli;
mod console;
mod doctor;
mod environment;
mod launch;
mod output;
mod sys;
mod target;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Action, Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows where its text belongs and how to colour it.
            let _ = error.print();
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return ExitCode::from(if asked { 0 } else { 2 });
        }
    };
    if let Some(Action::Doctor { settings, command }) = cli.action {
        return doctor::run(command, &settings);
    }
    if cli.command.is_empty() {
        output::say("no command is given");
        output::stderr(&format!("\n{}", cli::short_help()));
        return ExitCode::from(2);
    }
    let prepared = match launch::prepare(cli.command, &cli.settings) {
        Ok(prepared) => prepared,
        Err(failure) => return failure.report(),
    };
    if cli.console {
        console::run(prepared)
    } else {
        prepared.exec().report()
    }
}
