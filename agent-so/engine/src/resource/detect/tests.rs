use super::*;
use crate::resource::Value;
use proptest::prelude::*;

fn config(vars: &[(&str, &str)]) -> Config {
    Config::from_env(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()))).0
}

const OS_RELEASE: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME='Debian GNU/Linux'\nVERSION_ID=12\n";

fn facts() -> Facts<'static> {
    Facts {
        pid: 42,
        exe: b"/usr/bin/python3.11",
        argv0: b"python",
        default_service_name: "unknown_service:app.py",
        creation_time_ms: Some(1_695_288_334_853),
        runtime_version: "",
        host_name: "box",
        machine: "x86_64",
        os_release: OS_RELEASE,
        kernel_release: "6.1.0-13\n",
        cgroup: "0::/user.slice",
        mountinfo: "",
        machine_id: "0123\n",
        random: [0xff; 16],
    }
}

fn text<'a>(resource: &'a Resource, key: &str) -> Option<&'a str> {
    match resource.get(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

#[test]
fn default_service_names() {
    let name = |exe: &str, line: &str| {
        let argv: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        service_name(exe.as_bytes(), argv.into_iter())
    };
    assert_eq!(
        name("/usr/bin/python3", "python app.py"),
        "unknown_service:app.py"
    );
    assert_eq!(
        name("/usr/sbin/nginx", "ter process"),
        "unknown_service:nginx"
    );
    assert_eq!(name("", ""), "unknown_service");
    let long = format!("python {}.py", "é".repeat(300));
    assert_eq!(name("python3", &long).chars().count(), 16 + NAME_MAX);
    assert_eq!(
        service_name(b"/x/\xff", [].into_iter()),
        "unknown_service:\u{fffd}"
    );
}

#[test]
fn precedence_of_the_service_name() {
    let both = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attr,a=1");
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[], "unknown_service:app.py"),
        (&[both], "attr"),
        (&[both, ("OTEL_SERVICE_NAME", "own")], "own"),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=")],
            "unknown_service:app.py",
        ),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=attr,bad")],
            "unknown_service:app.py",
        ),
        (
            &[
                ("OTEL_RESOURCE_ATTRIBUTES", "bad"),
                ("OTEL_SERVICE_NAME", "own"),
            ],
            "own",
        ),
    ];
    for (vars, expected) in rows {
        let resource = Resource::detect(&config(vars), &facts());
        assert_eq!(text(&resource, "service.name"), Some(expected), "{vars:?}");
    }
    let nothing = Resource::detect(&config(&[]), &Facts::default());
    assert_eq!(text(&nothing, "service.name"), Some("unknown_service"));
}

#[test]
fn all_attributes() {
    let resource = Resource::detect(&config(&[]), &facts());
    let expected = [
        ("service.name", "unknown_service:app.py"),
        ("telemetry.sdk.name", "otel-run"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.distro.name", "otel-run"),
        ("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
        (
            "service.instance.id",
            "ffffffff-ffff-4fff-bfff-ffffffffffff",
        ),
        ("process.creation.time", "2023-09-21T09:25:34.853Z"),
        ("process.executable.name", "python3.11"),
        ("process.command", "python"),
        ("process.runtime.name", "CPython"),
        ("host.name", "box"),
        ("host.arch", "amd64"),
        ("os.type", "linux"),
        ("os.name", "Debian GNU/Linux"),
        ("os.version", "12"),
        ("os.description", "Debian GNU/Linux 12 (bookworm)"),
        ("os.build_id", "6.1.0-13"),
        ("host.id", "0123"),
    ];
    for (key, value) in expected {
        assert_eq!(text(&resource, key), Some(value), "{key}");
    }
    assert_eq!(resource.get("process.pid"), Some(&Value::Int(42)));
    assert_eq!(resource.attributes().count(), expected.len() + 1);
}

#[test]
fn unknown_facts_give_no_attributes_and_configured_ones_win() {
    let vars = [(
        "OTEL_RESOURCE_ATTRIBUTES",
        "host.name=h,process.pid=7,deployment.environment.name=prod",
    )];
    let resource = Resource::detect(
        &config(&vars),
        &Facts {
            pid: 1,
            ..Facts::default()
        },
    );
    assert_eq!(text(&resource, "host.name"), Some("h"));
    assert_eq!(text(&resource, "process.pid"), Some("7"));
    assert_eq!(text(&resource, "deployment.environment.name"), Some("prod"));
    for key in [
        "process.command",
        "process.runtime.name",
        "host.id",
        "container.id",
        "os.name",
        "process.creation.time",
    ] {
        assert_eq!(resource.get(key), None, "{key}");
    }
}

#[test]
fn a_container_has_an_id_and_no_host_id() {
    let id = "ab".repeat(32);
    let cgroup = format!("0::/docker/{id}");
    let inside = Facts {
        cgroup: &cgroup,
        ..facts()
    };
    let resource = Resource::detect(&config(&[]), &inside);
    assert_eq!(text(&resource, "container.id"), Some(id.as_str()));
    assert_eq!(resource.get("host.id"), None);
    let hidden = Resource::detect(
        &config(&[]),
        &Facts {
            cgroup: "0::/\n",
            ..facts()
        },
    );
    assert_eq!(
        (hidden.get("container.id"), hidden.get("host.id")),
        (None, None)
    );
}

#[test]
fn a_forked_child_is_another_instance() {
    let vars = config(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1")]);
    let parent = Resource::detect(&vars, &facts());
    let child = Facts {
        pid: 43,
        creation_time_ms: Some(0),
        random: [0; 16],
        ..Facts::default()
    };
    let resource = parent.after_fork(&vars, &child);
    assert_eq!(resource.get("process.pid"), Some(&Value::Int(43)));
    assert_eq!(
        text(&resource, "service.instance.id"),
        Some("00000000-0000-4000-8000-000000000000")
    );
    assert_eq!(
        text(&resource, "process.creation.time"),
        Some("1970-01-01T00:00:00.000Z")
    );
    assert_eq!(text(&resource, "host.name"), Some("box"));
    let fixed = config(&[("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine")]);
    let resource = Resource::detect(&fixed, &facts()).after_fork(&fixed, &child);
    assert_eq!(text(&resource, "service.instance.id"), Some("mine"));
}

#[test]
fn dates_and_machines() {
    let rows = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
    ];
    for (ms, expected) in rows {
        assert_eq!(iso8601(ms), expected);
    }
    let machines = [
        ("aarch64", "arm64"),
        ("armv7l", "arm32"),
        ("i686", "x86"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
    ];
    for (machine, expected) in machines {
        assert_eq!(arch(machine), expected);
    }
}

proptest! {
    #[test]
    fn any_facts_give_a_resource(
        texts in prop::collection::vec("[ -~\n\"'=/:]{0,30}", 5),
        bytes in prop::collection::vec(any::<u8>(), 0..30),
        ms in any::<u64>(),
    ) {
        let facts = Facts {
            exe: &bytes, argv0: &bytes, os_release: &texts[0], cgroup: &texts[1], mountinfo: &texts[2],
            machine: &texts[3], machine_id: &texts[4], creation_time_ms: Some(ms), ..Facts::default()
        };
        let resource = Resource::detect(&config(&[]), &facts);
        prop_assert!(resource.get("service.name").is_some());
    }
}
