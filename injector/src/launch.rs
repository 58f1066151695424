//! From a command line to a running program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::agent::{self, Agent};
use crate::cli::Settings;
use crate::environment::Environment;
use crate::output::{self, OWN_FAILURE};
use crate::sys;
use crate::target::refusal::{CANNOT_RUN, Message, NOT_FOUND};
use crate::target::{self, Inspection};

/// Why nothing was started.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) status: u8,
    /// For the user.
    pub(crate) message: Message,
}

impl Failure {
    /// A failure of `otel-run` itself.
    pub(crate) fn own(message: Message) -> Self {
        Self {
            status: OWN_FAILURE,
            message,
        }
    }

    /// Tells the user, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let Message { what, why, hint } = &self.message;
        let mut text = format!("otel-run: {}\n", output::printable(what));
        if let Some(why) = why {
            text.push_str(&format!("  why: {}\n", output::printable(why)));
        }
        text.push_str(&format!("  try: {}\n", output::printable(hint)));
        output::stderr(&text);
        ExitCode::from(self.status)
    }
}

/// A command that can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its environment, without what the console adds.
    pub(crate) environment: Environment,
    /// What it is.
    inspection: Inspection,
    arguments: Vec<OsString>,
}

/// Looks at the command and builds its environment. Nothing is started for a program that the agent
/// cannot enter: the user asked for traces and would wait for them in vain.
pub(crate) fn prepare(arguments: Vec<OsString>, settings: &Settings) -> Result<Prepared, Failure> {
    let mut environment = Environment::inherited();
    environment.apply(settings);
    let agent = agent::find(environment.get(agent::VARIABLE));
    let platform = agent.as_ref().ok().map(|agent| agent.platform);
    let command = arguments.first().cloned().unwrap_or_default();
    let inspection = target::inspect(&command, environment.get("PATH"), platform);
    if inspection.is_otel_run() {
        // The inner one loads the agent; loading it into otel-run as well would trace otel-run.
        return Ok(Prepared {
            environment,
            inspection,
            arguments,
        });
    }
    if let Some(refusal) = &inspection.refusal {
        let mut message = refusal.message();
        if refusal.runs_without_agent() {
            message.what = format!("cannot trace, so not started: {}", message.what);
        }
        if let Some(script) = inspection.path().filter(|_| inspection.chain.len() > 1) {
            message.what = format!("{}: {}", script.display(), message.what);
        }
        return Err(Failure {
            status: refusal.exit_status(),
            message,
        });
    }
    let Agent { path, .. } = agent.map_err(Failure::own)?;
    environment.preload(&path);
    Ok(Prepared {
        environment,
        inspection,
        arguments,
    })
}

impl Prepared {
    /// The command, to be started by the standard library.
    pub(crate) fn command(&self) -> std::io::Result<Command> {
        let named = self.arguments.first().cloned().unwrap_or_default();
        // The file that was inspected is the file that runs, under the name that the user typed.
        let file = self
            .inspection
            .path()
            .map_or_else(|| named.clone(), |path| path.as_os_str().into());
        let rest = self.arguments.iter().skip(1).map(OsString::as_os_str);
        let argv = std::iter::once(named.as_os_str()).chain(rest);
        let mut command = Command::new(&file);
        sys::pass_on_inherited_state(&mut command);
        sys::run_exactly(&mut command, &file, argv, self.environment.entries())?;
        Ok(command)
    }

    /// The failure of the system to start the command after all.
    pub(crate) fn failed(&self, error: &std::io::Error) -> Failure {
        let named = self
            .arguments
            .first()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        Failure {
            status: if missing { NOT_FOUND } else { CANNOT_RUN },
            message: Message {
                what: format!("{named} could not be started: {error}"),
                why: None,
                hint: "run it without otel-run to see whether that works".to_owned(),
            },
        }
    }

    /// Becomes the command. Returns only when that fails.
    pub(crate) fn exec(self) -> Failure {
        match self.command() {
            Ok(mut command) => self.failed(&command.exec()),
            Err(error) => self.failed(&error),
        }
    }
}
