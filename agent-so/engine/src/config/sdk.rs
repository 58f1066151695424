//! Whether an OpenTelemetry SDK or agent is being loaded into this process by its environment or command line. Its own
//! spans are better than ours: with `OTEL_RUN_COEXIST=auto` we stand aside.

use crate::resource::program::Interpreter;
use memchr::memmem;

/// A way to load an SDK.
struct Marker {
    /// Only this kind of program reads the variable; `None`: the variable is read by programs of any name.
    /// The environment is inherited by programs that take no notice of it.
    reader: Option<Interpreter>,
    variable: &'static str,
    /// The value contains this text.
    contains: &'static str,
    what: &'static str,
}

const fn marker(
    reader: Option<Interpreter>,
    variable: &'static str,
    contains: &'static str,
    what: &'static str,
) -> Marker {
    Marker {
        reader,
        variable,
        contains,
        what,
    }
}

const JAVA: &str = "OpenTelemetry Java agent";
const NODE: &str = "OpenTelemetry auto-instrumentation for Node.js";
const PYTHON: &str = "OpenTelemetry auto-instrumentation for Python";
const RUBY: &str = "OpenTelemetry auto-instrumentation for Ruby";
const DOTNET: &str = "OpenTelemetry auto-instrumentation for .NET";

/// The CLSID of OpenTelemetry's CLR profiler.
const CLR_PROFILER: &str = "918728DD-259F-4A6A-AC2B-B85E1B658318";

const MARKERS: [Marker; 14] = [
    marker(
        Some(Interpreter::Java),
        "JAVA_TOOL_OPTIONS",
        "opentelemetry-javaagent",
        JAVA,
    ),
    marker(
        Some(Interpreter::Java),
        "JDK_JAVA_OPTIONS",
        "opentelemetry-javaagent",
        JAVA,
    ),
    // the operator mounts the agent under this path, as `javaagent.jar`
    marker(
        Some(Interpreter::Java),
        "JAVA_TOOL_OPTIONS",
        "otel-auto-instrumentation-java",
        JAVA,
    ),
    marker(
        Some(Interpreter::Java),
        "JDK_JAVA_OPTIONS",
        "otel-auto-instrumentation-java",
        JAVA,
    ),
    marker(
        Some(Interpreter::Node),
        "NODE_OPTIONS",
        "@opentelemetry/",
        NODE,
    ),
    marker(
        Some(Interpreter::Node),
        "NODE_OPTIONS",
        "otel-auto-instrumentation",
        NODE,
    ),
    marker(
        Some(Interpreter::Python),
        "PYTHONPATH",
        "opentelemetry/instrumentation/auto_instrumentation",
        PYTHON,
    ),
    marker(
        Some(Interpreter::PyPy),
        "PYTHONPATH",
        "opentelemetry/instrumentation/auto_instrumentation",
        PYTHON,
    ),
    marker(Some(Interpreter::Ruby), "RUBYOPT", "opentelemetry", RUBY),
    // A .NET program may be its own executable (apphost).
    marker(
        None,
        "DOTNET_STARTUP_HOOKS",
        "OpenTelemetry.AutoInstrumentation",
        DOTNET,
    ),
    marker(None, "CORECLR_PROFILER", CLR_PROFILER, DOTNET),
    marker(
        Some(Interpreter::Bun),
        "BUN_OPTIONS",
        "@opentelemetry/",
        NODE,
    ),
    marker(
        Some(Interpreter::Deno),
        "OTEL_DENO",
        "true",
        "OpenTelemetry in Deno",
    ),
    marker(
        Some(Interpreter::Php),
        "OTEL_PHP_AUTOLOAD_ENABLED",
        "true",
        "OpenTelemetry PHP",
    ),
];

/// Command line texts, for the interpreters that load an agent by option.
const OPTIONS: [(Interpreter, &str, &str); 4] = [
    (Interpreter::Java, "opentelemetry-javaagent", JAVA),
    (Interpreter::Java, "otel-auto-instrumentation-java", JAVA),
    (Interpreter::Node, "@opentelemetry/", NODE),
    (Interpreter::Node, "otel-auto-instrumentation", NODE),
];

/// Switches that turn a loaded agent off again.
const OFF: [(&str, &str); 2] = [
    ("OTEL_JAVAAGENT_ENABLED", JAVA),
    ("OTEL_DOTNET_AUTO_INSTRUMENTATION_ENABLED", DOTNET),
];

/// Names the SDK that environment and command line load into this process, if any. `vars` is the whole environment. Only the
/// options before the program's own arguments count, which is approximated by a leading dash or by following one.
pub fn sdk_markers<'a>(
    exe: &[u8],
    vars: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    argv: impl Iterator<Item = &'a [u8]>,
) -> Option<&'static str> {
    let interpreter = Interpreter::of(exe);
    let mut found = None;
    let mut off: [bool; OFF.len()] = [false; OFF.len()];
    for (name, value) in vars {
        for (index, (switch, _)) in OFF.iter().enumerate() {
            off[index] |= name == switch.as_bytes() && value.eq_ignore_ascii_case(b"false");
        }
        for marker in &MARKERS {
            let read = marker
                .reader
                .is_none_or(|reader| Some(reader) == interpreter);
            if read && name == marker.variable.as_bytes() && contains(value, marker.contains) {
                found = found.or(Some(marker.what));
            }
        }
    }
    if found.is_none() && interpreter.is_some() {
        found = by_option(interpreter, argv);
    }
    let is_off = |what| {
        OFF.iter()
            .zip(off)
            .any(|((_, agent), off)| off && *agent == what)
    };
    found.filter(|what| !is_off(*what))
}

/// Looks at the options of the interpreter: the words from `argv[1]` to the first that neither begins with a dash
/// nor follows one that does.
fn by_option<'a>(
    interpreter: Option<Interpreter>,
    argv: impl Iterator<Item = &'a [u8]>,
) -> Option<&'static str> {
    let mut after_option = true;
    for word in argv.skip(1) {
        let option = word.starts_with(b"-");
        if !option && !after_option {
            return None;
        }
        for (reader, text, what) in &OPTIONS {
            if Some(*reader) == interpreter && contains(word, text) {
                return Some(what);
            }
        }
        after_option = option;
    }
    None
}

fn contains(value: &[u8], text: &str) -> bool {
    memmem::find(value, text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_documented() {
        let doc = include_str!("../../../../docs/configuration.md");
        let names = MARKERS
            .iter()
            .map(|m| m.variable)
            .chain(OFF.iter().map(|(name, _)| *name));
        for name in names {
            assert!(doc.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn markers() {
        // executable, environment, command line, found
        let agent = "JAVA_TOOL_OPTIONS=-Xmx1g|-javaagent:/o/opentelemetry-javaagent.jar";
        let rows = [
            ("/j/bin/java", agent, "java -jar x", true),
            (
                "/j/bin/java",
                "JDK_JAVA_OPTIONS=-javaagent:/otel-auto-instrumentation-java/javaagent.jar",
                "java",
                true,
            ),
            ("/usr/sbin/nginx", agent, "nginx", false),
            ("/j/bin/java", "JAVA_TOOL_OPTIONS=-Xmx1g", "java", false),
            (
                "/j/bin/java",
                "A=b",
                "java -javaagent:opentelemetry-javaagent-1.jar -jar x",
                true,
            ),
            (
                "/j/bin/java",
                "OTEL_JAVAAGENT_ENABLED=false",
                "java -javaagent:opentelemetry-javaagent.jar X",
                false,
            ),
            (
                "/usr/bin/node",
                "NODE_OPTIONS=--require|@opentelemetry/auto-instrumentations-node/register",
                "node a.js",
                true,
            ),
            (
                "/usr/bin/node",
                "A=b",
                "node --require @opentelemetry/auto-instrumentations-node/register a.js",
                true,
            ),
            (
                "/usr/bin/node",
                "A=b",
                "node a.js x @opentelemetry/api",
                false,
            ),
            (
                "/usr/bin/python3.11",
                "PYTHONPATH=/v/opentelemetry/instrumentation/auto_instrumentation:/v",
                "python a.py",
                true,
            ),
            (
                "/usr/bin/python3.11",
                "PYTHONPATH=/v/opentelemetry",
                "python a.py",
                false,
            ),
            (
                "/usr/bin/curl",
                "PYTHONPATH=/v/opentelemetry/instrumentation/auto_instrumentation",
                "curl",
                false,
            ),
            (
                "/app/Shop",
                "DOTNET_STARTUP_HOOKS=/o/OpenTelemetry.AutoInstrumentation.StartupHook.dll",
                "Shop",
                true,
            ),
            (
                "/app/Shop",
                "CORECLR_PROFILER={918728DD-259F-4A6A-AC2B-B85E1B658318}",
                "Shop",
                true,
            ),
            (
                "/usr/bin/ruby",
                "RUBYOPT=-r|opentelemetry-auto-instrumentation",
                "ruby a.rb",
                true,
            ),
            (
                "/usr/bin/php8.2",
                "OTEL_PHP_AUTOLOAD_ENABLED=true",
                "php a.php",
                true,
            ),
            ("/usr/bin/node", "DD_TRACE_ENABLED=true", "node a.js", false),
        ];
        for (exe, env, line, expected) in rows {
            let (name, value) = env.split_once('=').unwrap();
            let vars = [(name.as_bytes(), value.as_bytes())];
            let argv: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
            let found = sdk_markers(exe.as_bytes(), vars.into_iter(), argv.into_iter());
            assert_eq!(found.is_some(), expected, "{exe} {env} {line}");
        }
    }
}
