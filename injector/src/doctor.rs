//! `otel-run doctor COMMAND`: says what will be seen of a command, and what is in the way. Runs nothing.

mod binary;
mod endpoint;
mod libraries;
mod memory;
mod process;
mod report;
mod runtime;
mod settings;
mod tls;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::agent::{self, Agent};
use crate::cli::Settings;
use crate::environment::{Environment, preload_entries, same_file};
use crate::output::{self, Appearance};
use crate::target::elf::{ElfFacts, Libc};
use crate::target::refusal::Message;
use crate::target::{self, Inspection, Role};
use binary::Traits;
use libraries::Library;
use memory::Policy;
use process::{Process, Sdk};
use report::{Finding, Report};

/// What the dynamic linker loads into every program.
const SYSTEM_PRELOAD: &str = "/etc/ld.so.preload";

/// Prints the report; the exit status is 1 when something blocks.
pub(crate) fn run(arguments: Vec<OsString>, settings: &Settings) -> ExitCode {
    let mut environment = Environment::inherited();
    environment.apply(settings);
    let report = examine(&arguments, &environment);
    output::stdout(&report.render(Appearance::of_stdout()));
    ExitCode::from(u8::from(report.blocking() > 0))
}

fn examine(arguments: &[OsString], environment: &Environment) -> Report {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let agent = agent::find(environment.get(agent::VARIABLE));
    let command = arguments
        .first()
        .map(OsString::as_os_str)
        .unwrap_or_default();
    let platform = agent.as_ref().ok().map(|agent| agent.platform);
    let inspection = target::inspect(command, environment.get("PATH"), platform);

    let mut report = Report::new(format!("otel-run doctor: {}", words.join(" ")));
    let mut program = chain(&inspection);
    let mut seen = Vec::new();
    let mut libc = None;
    let (config, warnings) = environment.config();
    let mut process = if inspection.is_otel_run() {
        None
    } else {
        Process::new(&inspection, arguments)
    };
    if let (Some(path), Some(facts)) = (inspection.program(), &inspection.facts) {
        let traits = binary::examine(path);
        let libraries = libraries::all(path, facts, environment);
        libc = offered_glibc(&libraries);
        program.extend(elf_findings(facts, &traits, libc));
        if inspection.refusal.is_none() && !inspection.is_otel_run() {
            let runtime = runtime::detect(path, facts.go, &traits, &libraries);
            let tls = tls::find(path, &libraries);
            seen = runtime::findings(runtime, tls::findings(runtime, &tls, Policy::here()));
        }
    }
    if let Some(refusal) = &inspection.refusal {
        program.push(problem(refusal.message()));
        process = None;
    } else if let Some(decided) = &process {
        let decision = decided.decision(&config);
        let sdk = decided.sdk(environment, &config);
        let left_alone = decision.is_blocking();
        program.push(decision);
        if left_alone {
            seen.clear();
            process = None;
        } else if let Some(finding) = sdk.finding() {
            if matches!(sdk, Sdk::Instead(_)) {
                seen.clear();
                report.verdict("It will be traced by its own OpenTelemetry SDK.");
            }
            seen.push(finding);
        }
    }
    report.section("Program", program);
    report.section("What will be seen", seen);
    report.section("Agent", agent_findings(agent, libc, environment));
    report.section(
        "Configuration",
        settings::findings(&config, &warnings, process.as_ref()),
    );
    report
}

fn problem(message: Message) -> Finding {
    let text = match message.why {
        Some(why) => format!("{}: {why}", message.what),
        None => message.what,
    };
    Finding::blocks(text, message.hint)
}

/// The files from the command to the program.
fn chain(inspection: &Inspection) -> Vec<Finding> {
    let describe = |step: &target::Step| {
        let path = step.path.display();
        match step.role {
            Role::Command => path.to_string(),
            Role::Interpreter => format!("a script, run by {path}"),
            Role::ThroughEnv => format!("a script, run by {path} (found by env)"),
            Role::DefaultShell => format!("text without a #! line, run by {path}"),
        }
    };
    let mut findings: Vec<Finding> = inspection
        .chain
        .iter()
        .map(|step| Finding::good(describe(step)))
        .collect();
    if inspection.is_otel_run() {
        findings.push(Finding::attention(
            "this is otel-run itself",
            "the command goes behind doctor: otel-run doctor COMMAND",
        ));
    } else if inspection.facts.is_none() && inspection.refusal.is_none() {
        findings.push(Finding::attention(
            "its file cannot be read, so it was not examined",
            "run doctor as a user who may read it",
        ));
    }
    findings
}

fn elf_findings(
    facts: &ElfFacts,
    traits: &Traits,
    libc: Option<binary::GlibcVersion>,
) -> Vec<Finding> {
    let platform = facts.platform.name();
    let text = match (facts.libc(), traits.glibc_needed, libc) {
        (None, ..) => format!("{platform}, statically linked"),
        (Some(Libc::Glibc), Some(needed), Some(offered)) => format!(
            "{platform}, dynamically linked, glibc {} (needs {})",
            version(offered),
            version(needed)
        ),
        (Some(Libc::Glibc), ..) => format!("{platform}, dynamically linked, glibc"),
        (Some(Libc::Musl), ..) => format!("{platform}, dynamically linked, musl"),
        (Some(Libc::Other | Libc::Unknown), ..) => {
            let linker = facts.interpreter.as_deref().unwrap_or(Path::new("?"));
            format!("{platform}, dynamically linked by {}", linker.display())
        }
    };
    if facts.libc() == Some(Libc::Unknown) {
        return vec![Finding::attention(
            text,
            "the agent needs glibc; whether this is one is not known",
        )];
    }
    vec![Finding::good(text)]
}

fn version((major, minor): binary::GlibcVersion) -> String {
    format!("{major}.{minor}")
}

/// The version of the glibc that the program would run with.
fn offered_glibc(libraries: &[Library]) -> Option<binary::GlibcVersion> {
    let libc = libraries
        .iter()
        .find(|library| library.name == "libc.so.6")?;
    binary::examine(libc.path.as_deref()?).glibc_offered
}

fn agent_findings(
    agent: Result<Agent, Message>,
    libc: Option<binary::GlibcVersion>,
    environment: &Environment,
) -> Vec<Finding> {
    let agent = match agent {
        Ok(agent) => agent,
        Err(message) => return vec![problem(message)],
    };
    let mut findings = vec![Finding::good(agent.path.display().to_string())];
    let needed = binary::examine(&agent.path).glibc_needed;
    if let (Some(needed), Some(offered)) = (needed, libc)
        && needed > offered
    {
        findings.push(Finding::blocks(
            format!(
                "it needs glibc {}, the program has {}",
                version(needed),
                version(offered)
            ),
            "use a build of otel-run for older systems",
        ));
    }
    findings.extend(preload_findings(&agent.path, environment));
    findings
}

fn preload_findings(agent: &Path, environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in preload_entries(environment.get("LD_PRELOAD").unwrap_or_default()) {
        let path = Path::new(entry);
        let name = path.display();
        findings.push(if same_file(path, agent) {
            Finding::good("LD_PRELOAD has the agent already")
        } else if entry.to_string_lossy().contains('/') && !path.exists() {
            Finding::attention(
                format!("LD_PRELOAD has {name}, which does not exist"),
                "the dynamic linker prints an error for each program; remove it",
            )
        } else {
            Finding::good(format!(
                "LD_PRELOAD has {name}, which stays and comes first"
            ))
        });
    }
    let system = std::fs::read(SYSTEM_PRELOAD).unwrap_or_default();
    let entries = system.split(|byte| byte.is_ascii_whitespace() || *byte == b':');
    if entries.into_iter().any(|entry| is_agent(entry, agent)) {
        findings.push(Finding::good(format!(
            "{SYSTEM_PRELOAD} has the agent for every program"
        )));
    }
    findings
}

fn is_agent(entry: &[u8], agent: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    !entry.is_empty() && same_file(Path::new(OsStr::from_bytes(entry)), agent)
}
