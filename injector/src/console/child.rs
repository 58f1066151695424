//! The command as a child: its end, and the signals on their way to it.
//!
//! The child shares the terminal and the process group, so that a key like ^C reaches both by itself. A
//! signal sent to `otel-run` alone is handed on; `otel-run` never ends before its child.

use std::process::{Child, ExitCode};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpgrp, kill_process, waitpid,
};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;
use signal_hook::low_level;
use tokio::sync::mpsc;

use crate::sys;

/// Signals that are handed on.
const FORWARDED: [i32; 9] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP,
];
/// Signals by which a terminal stops a job.
const JOB_STOPS: [i32; 3] = [SIGTSTP, SIGTTIN, SIGTTOU];

/// A signal that this process got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Which.
    pub(crate) signal: i32,
    /// The process that sent it; `None` when the kernel did.
    pub(crate) sender: Option<i32>,
}

/// Catches the signals. Before the child is started, so that none can end this process in between.
///
/// A signal that is ignored stays ignored: that is inherited, as by `nohup`, and the child must inherit it.
pub(crate) fn catch_signals() -> std::io::Result<SignalsInfo<WithRawSiginfo>> {
    let forwarded = FORWARDED
        .into_iter()
        .filter(|signal| !sys::is_ignored(*signal));
    SignalsInfo::new(forwarded.chain([SIGCHLD]))
}

/// Hands the caught signals to the event loop, from a thread of their own.
pub(crate) fn read_signals(
    mut signals: SignalsInfo<WithRawSiginfo>,
) -> std::io::Result<mpsc::Receiver<Received>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for info in signals.forever() {
                let received = Received {
                    signal: info.si_signo,
                    sender: sys::sender(&info),
                };
                if sender.blocking_send(received).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit status.
    Status(u8),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// The status by which shells name the end.
    fn shell_status(self) -> u8 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => u8::try_from(signal).map_or(u8::MAX, |s| s.saturating_add(128)),
        }
    }

    /// Ends this process in the same way. Returns when that takes an exit status.
    pub(crate) fn repeat(self) -> ExitCode {
        // PID 1 of a container cannot end itself by a signal.
        if let Self::Signal(signal) = self
            && !rustix::process::getpid().is_init()
        {
            use rustix::process::{Resource, Rlimit, setrlimit};
            // The child has left a core dump if one was wanted.
            let _ = setrlimit(
                Resource::Core,
                Rlimit {
                    current: Some(0),
                    maximum: Some(0),
                },
            );
            // Fails for signals without a name (real-time); then the status has to do.
            let _ = low_level::emulate_default_handler(signal);
        }
        ExitCode::from(self.shell_status())
    }
}

/// The running command.
pub(crate) struct Running {
    pid: Pid,
    stopped: bool,
}

impl Running {
    /// Takes charge of a child that has just been started.
    pub(crate) fn new(child: &Child) -> Self {
        Self {
            pid: Pid::from_child(child),
            stopped: false,
        }
    }

    /// Waits for the end without anything else.
    pub(crate) fn wait(&self) -> Ended {
        loop {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => {
                    if let Some(ended) = ended(status) {
                        return ended;
                    }
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Ended::Status(0),
            }
        }
    }

    /// Deals with a signal; the child's end is the result. To be called with every `SIGCHLD`.
    pub(crate) fn handle(&mut self, received: Received) -> Option<Ended> {
        match received.signal {
            SIGCHLD => return self.changes(),
            SIGCONT => {
                if let Some(ended) = self.changes() {
                    return Some(ended);
                }
                if self.stopped {
                    self.send(SIGCONT);
                }
            }
            signal if self.needs(received) => self.send(signal),
            _ => {}
        }
        None
    }

    /// Whether the child has not got this signal by itself.
    fn needs(&self, received: Received) -> bool {
        match received.sender {
            // The terminal sends to the whole foreground process group; the child may have left it.
            None => getpgid(Some(self.pid)).is_ok_and(|group| group != getpgrp()),
            // A program that stops its own job (`kill(0, SIGTSTP)`) has dealt with it.
            Some(sender) => sender != self.pid.as_raw_nonzero().get(),
        }
    }

    /// The child has not been waited for, so its number cannot belong to another process.
    fn send(&self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Asks after the child, and only this child: others may be somebody else's.
    fn changes(&mut self) -> Option<Ended> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            match waitpid(Some(self.pid), options) {
                Ok(Some((_, status))) => {
                    if let Some(ended) = ended(status) {
                        return Some(ended);
                    }
                    self.stopped = status.stopped();
                    if status
                        .stopping_signal()
                        .is_some_and(|signal| JOB_STOPS.contains(&signal))
                    {
                        // The shell must see the job stop; it waits for us, not for the child.
                        let _ = low_level::raise(SIGSTOP);
                    }
                }
                Ok(None) => return None,
                Err(rustix::io::Errno::INTR) => {}
                // The child cannot be waited for any more: its status is lost, not its end.
                Err(_) => return Some(Ended::Status(0)),
            }
        }
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    let exit = status
        .exit_status()
        .map(|code| Ended::Status(u8::try_from(code).unwrap_or(u8::MAX)));
    exit.or_else(|| status.terminating_signal().map(Ended::Signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_as_shells_name_them() {
        let table = [
            (Ended::Status(0), 0),
            (Ended::Status(3), 3),
            (Ended::Status(255), 255),
            (Ended::Signal(2), 130),
            (Ended::Signal(9), 137),
            (Ended::Signal(15), 143),
            (Ended::Signal(64), 192),
        ];
        for (ended, status) in table {
            assert_eq!(ended.shell_status(), status, "{ended:?}");
        }
    }
}
