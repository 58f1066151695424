"""Environment variables: names, defaults, precedence, and what a wrong value does."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest

from harness import apps, client
from harness.assertions import assert_exactly, assert_spans, call, server
from harness.ports import free_port
from harness.processes import APPS, CACHE, NONE, PYTHON, Launcher, wait_until
from harness.receiver import Receiver
from harness.upstream import Upstream

UNSET: dict[str, str | None] = {"OTEL_SERVICE_NAME": None}


def curl(launcher: Launcher, url: str, **env: str | None):
    return launcher.run("curl", "-sS", url, env=env)


def control(launcher: Launcher, upstream: Upstream):
    return lambda path: curl(launcher, upstream.url + path)


WRONG = [
    ("OTEL_TRACES_SAMPLER", "sometimes"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:99999"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
    ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
    ("OTEL_TRACES_EXPORTER", "fax"),
    ("OTEL_PROPAGATORS", "smoke"),
    ("OTEL_SDK_DISABLED", "maybe"),
    ("OTEL_INSTRUMENTATION_HTTP_CLIENT_ENABLED", "perhaps"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=1,nonsense"),
    ("OTEL_LOG_LEVEL", "loud"),
]


@pytest.mark.parametrize("name, value", WRONG)
def test_wrong_value(launcher: Launcher, upstream: Upstream, name: str, value: str) -> None:
    """One line on standard error with the variable and its value and what is used instead; the program runs."""
    done = curl(launcher, f"{upstream.url}/status/200", **{name: value})
    assert (done.code, done.out) == (0, b"status 200\n")
    lines = done.err.decode().splitlines()
    assert len(lines) == 1, done.err
    assert name in lines[0] and value in lines[0]
    assert re.search(r";.+\w", lines[0]), f"does not say what is used instead: {lines[0]}"


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
@pytest.mark.parametrize("ratio", ["7", "-0.1", "half", "nan"])
def test_wrong_ratio(launcher: Launcher, receiver: Receiver, upstream: Upstream, sampler: str, ratio: str) -> None:
    """As if it were not set: everything is sampled."""
    done = curl(launcher, f"{upstream.url}/echo", OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=ratio)
    assert done.code == 0 and done.err.count(b"\n") == 1
    assert b"OTEL_TRACES_SAMPLER_ARG" in done.err and ratio.encode() in done.err
    assert_exactly(receiver, 1, control(launcher, upstream))


def test_secrets_are_not_shown(launcher: Launcher, upstream: Upstream) -> None:
    done = curl(launcher, f"{upstream.url}/echo", OTEL_EXPORTER_OTLP_HEADERS="api-key:topsecret",
                OTEL_EXPORTER_OTLP_ENDPOINT="http://me:topsecret@127.0.0.1:x")
    assert done.code == 0 and b"OTEL_EXPORTER_OTLP" in done.err and b"topsecret" not in done.err


def test_empty_is_unset(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    names = ["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_PROPAGATORS", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED",
             "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_LOG_LEVEL",
             "OTEL_RESOURCE_ATTRIBUTES", "OTEL_INSTRUMENTATION_HTTP_CLIENT_ENABLED", "OTEL_RUN_INCLUDE", "OTEL_RUN_EXCLUDE"]
    done = curl(launcher, f"{upstream.url}/echo", **dict.fromkeys(names, ""))
    assert (done.code, done.err) == (0, b"")
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)), call(f"{upstream.url}/echo"))
    assert upstream.seen[0].value("traceparent")


SWITCHES = [
    ({"OTEL_INSTRUMENTATION_HTTP_CLIENT_ENABLED": "false"}, {"SERVER"}),
    ({"OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "false"}, {"CLIENT"}),
    ({"OTEL_INSTRUMENTATION_REQUESTS_ENABLED": "false"}, {"SERVER"}),
    ({"OTEL_INSTRUMENTATION_URLLIB3_ENABLED": "False"}, {"SERVER"}),
    ({"OTEL_INSTRUMENTATION_HTTPX_ENABLED": "false"}, {"SERVER"}),
    ({"OTEL_INSTRUMENTATION_FLASK_ENABLED": "false"}, {"CLIENT"}),
    ({"OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED": "false"}, set()),
    ({"OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED": "false", "OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "true"}, {"SERVER"}),
    ({"OTEL_INSTRUMENTATION_HTTP_CLIENT_ENABLED": "true", "OTEL_INSTRUMENTATION_REQUESTS_ENABLED": "false"}, {"SERVER", "CLIENT"}),
]


@pytest.mark.parametrize("env, kinds", SWITCHES, ids=lambda value: "+".join(value) if isinstance(value, dict) else "")
def test_switches(launcher: Launcher, receiver: Receiver, upstream: Upstream, env: dict[str, str], kinds: set[str]) -> None:
    app = apps.start(launcher, "ruby", upstream.url, env=env)
    client.get(app.port, "/fetch?id=7")
    spans = assert_exactly(receiver, len(kinds), control(launcher, upstream))
    assert {span.kind for span in spans} == kinds


PROCESSES = [
    ({"OTEL_RUN_EXCLUDE": "curl"}, 0),
    ({"OTEL_RUN_EXCLUDE": "/usr/bin/cu?l"}, 0),
    ({"OTEL_RUN_EXCLUDE": "wget"}, 1),
    ({"OTEL_RUN_INCLUDE": "wget"}, 0),
    ({"OTEL_RUN_INCLUDE": "wget,curl"}, 1),
    ({"OTEL_RUN_INCLUDE": "curl", "OTEL_RUN_EXCLUDE": "c*"}, 0),
]


@pytest.mark.parametrize("env, spans", PROCESSES, ids=lambda value: str(value))
def test_include_exclude(launcher: Launcher, receiver: Receiver, upstream: Upstream, env: dict[str, str], spans: int) -> None:
    assert curl(launcher, f"{upstream.url}/echo", **env).code == 0
    assert bool(upstream.seen[0].values("traceparent")) == bool(spans)
    assert_exactly(receiver, spans, control(launcher, upstream))


@pytest.mark.parametrize("name, include, spans", [("gcc", "", 0), ("ld", "", 0), ("gcc", "gcc", 1), ("myprog", "", 1)])
def test_deny_list(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path, name: str, include: str,
                   spans: int) -> None:
    """By the name of the executable: here curl under other names. OTEL_RUN_INCLUDE overrides the built-in list."""
    program = tmp_path / name
    shutil.copy("/usr/bin/curl", program)
    env = {"OTEL_RUN_INCLUDE": include} if include else {}
    assert launcher.run("bash", "-c", f"'{program}' -sS {upstream.url}/echo", env=env).code == 0
    assert_exactly(receiver, spans, control(launcher, upstream))


NAMES = [
    ({"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "a"),
    ({**UNSET, "OTEL_RESOURCE_ATTRIBUTES": "service.name=b%20c,x=y"}, "b c"),
    ({**UNSET, "OTEL_RESOURCE_ATTRIBUTES": "service.name=b,bad"}, "unknown_service:curl"),
    (UNSET, "unknown_service:curl"),
    ({"OTEL_SERVICE_NAME": ""}, "unknown_service:curl"),
]


@pytest.mark.parametrize("env, name", NAMES, ids=lambda value: str(value))
def test_service_name(launcher: Launcher, receiver: Receiver, upstream: Upstream, env: dict, name: str) -> None:
    curl(launcher, f"{upstream.url}/echo", **env)
    (span,) = receiver.wait_for(1)
    assert span.service == name


@pytest.mark.parametrize("app, name", [("flask", "app.py"), ("django", "django_app.py"), ("node", "server.js"),
                                       ("ruby", "server.rb"), ("java", "DemoServer"), ("gunicorn-sync", "gunicorn")])
def test_default_service_name(launcher: Launcher, receiver: Receiver, app: str, name: str) -> None:
    """The program, not its interpreter."""
    program = apps.start(launcher, app, env=UNSET)
    client.get(program.port, "/")
    (span,) = receiver.wait_for(1)
    assert span.service == f"unknown_service:{name}"


def test_python_module_name(launcher: Launcher, receiver: Receiver) -> None:
    port = free_port()
    launcher.start(PYTHON, "-m", "http.server", "--bind", "127.0.0.1", str(port), port=port, env=UNSET)
    client.get(port, "/")
    assert receiver.wait_for(1)[0].service == "unknown_service:http.server"


def test_jar_name(launcher: Launcher, receiver: Receiver, tmp_path: Path) -> None:
    jar = tmp_path / "shop.jar"
    assert launcher.run("jar", "-cfe", jar, "DemoServer", "-C", CACHE / "java", ".", how=NONE).code == 0
    program = launcher.start("java", "-jar", jar, port=free_port(), env=UNSET)
    client.get(program.port, "/")
    assert receiver.wait_for(1)[0].service == "unknown_service:shop.jar"


def test_resource(launcher: Launcher, receiver: Receiver) -> None:
    """Identity by pid and start; nothing that may hold secrets."""
    app = apps.start(launcher, "node", env={"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,k%2C=v%3D,host.name=mine"})
    client.get(app.port, "/")
    (span,) = receiver.wait_for(1)
    resource = span.resource
    assert resource["process.pid"] == app.pid
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", resource["process.creation.time"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", resource["service.instance.id"])
    assert resource["process.executable.name"] == "node" and resource["process.runtime.name"] == "nodejs"
    assert (resource["deployment.environment.name"], resource["k,"], resource["host.name"]) == ("test", "v=", "mine")
    assert (resource["host.arch"], resource["os.type"], resource["telemetry.sdk.language"]) == ("amd64", "linux", "rust")
    assert resource["telemetry.distro.name"] and resource["telemetry.distro.version"] == resource["telemetry.sdk.version"]
    assert not {"process.command_args", "process.command_line", "process.executable.path"} & resource.keys()
    assert span.scope == "otel-run" and span.schema_url.startswith("https://opentelemetry.io/schemas/1.")
    assert "" not in resource.values()


def test_captured_headers(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Only those named, each an array, credentials masked; the Java names mean the same."""
    app = apps.start(launcher, "node", upstream.url, env={
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-One, authorization,X-Masked,x-absent",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "content-type",
        "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS": "host",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "Content-Length",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "x-masked",
    })
    headers = {"X-One": "1", "Authorization": "Bearer secret", "X-Masked": "secret", "X-Other": "o"}
    client.get(app.port, "/fetch?id=7", headers)
    spans = assert_exactly(receiver, 2, app.port)
    called = next(span for span in spans if span.kind == "CLIENT")
    served = next(span for span in spans if span.kind == "SERVER")
    captured = {key: value for key, value in served.attributes.items() if ".header." in key}
    assert captured == {
        "http.request.header.x-one": ["1"], "http.request.header.authorization": ["[REDACTED]"],
        "http.request.header.x-masked": ["[REDACTED]"], "http.response.header.content-type": ["application/json"],
    }
    captured = {key: value for key, value in called.attributes.items() if ".header." in key}
    assert captured["http.request.header.host"] == [f"127.0.0.1:{upstream.port}"]
    assert set(captured) == {"http.request.header.host", "http.response.header.content-length"}
    assert "secret" not in str(served)


def test_nothing_captured_by_default(launcher: Launcher, receiver: Receiver) -> None:
    app = apps.start(launcher, "node")
    client.get(app.port, "/", {"Authorization": "Bearer secret", "Cookie": "a=secret"})
    assert_spans(assert_exactly(receiver, 1, app.port), server("/", app.port))


def test_routes(launcher: Launcher, receiver: Receiver) -> None:
    """Templates of the user first, then the heuristic, which can be switched off."""
    app = apps.start(launcher, "node", env={"OTEL_RUN_HTTP_ROUTES": "/users/{name},/static/*"})
    for path in ("/users/alice", "/orders/12345"):
        client.get(app.port, path)
    spans = assert_exactly(receiver, 2, app.port)
    assert {span.name for span in spans} == {"GET /users/{name}", "GET /orders/{id}"}
    plain = apps.start(launcher, "node", env={"OTEL_RUN_HTTP_ROUTE_HEURISTIC": "false"})
    receiver.clear()
    client.get(plain.port, "/echo")
    (span,) = receiver.wait_for(1)
    assert span.name == "GET" and "http.route" not in span.attributes


def test_known_methods(launcher: Launcher, receiver: Receiver) -> None:
    """The user's list replaces the default one."""
    app = launcher.start(PYTHON, APPS.parent / "tests/programs/server.py", port=free_port(),
                         env={"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET,BREW"})
    for method in ("BREW", "POST"):
        client.get(app.port, "/echo", method=method)
    spans = assert_exactly(receiver, 2, app.port)
    assert {span.name for span in spans} == {"BREW /echo", "HTTP /echo"}
    assert {span.attributes.get("http.request.method_original") for span in spans} == {None, "POST"}


def test_excluded_urls(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """No span, but the context goes on."""
    app = apps.start(launcher, "ruby", upstream.url, env={"OTEL_RUN_EXCLUDED_URLS": "/fetch"})
    client.get(app.port, "/fetch?id=7", {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    client.get(app.port, "/")
    spans = receiver.wait_for(lambda spans: any(span.url == "/" for span in spans))
    assert [span.url for span in spans if span.kind == "SERVER"] == ["/"]
    assert upstream.seen[0].value("traceparent").split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_ipv6(launcher: Launcher, receiver: Receiver) -> None:
    port = free_port()
    program = launcher.start(PYTHON, "-m", "http.server", "--bind", "::1", str(port))

    def listens() -> bool:
        with socket.socket(socket.AF_INET6) as probe:
            return probe.connect_ex(("::1", port)) == 0

    wait_until(listens, 20, program.describe)
    curl(launcher, f"http://[::1]:{port}/")
    spans = receiver.wait_for(2)
    called = next(span for span in spans if span.kind == "CLIENT")
    served = next(span for span in spans if span.kind == "SERVER")
    assert called.attributes["server.address"] in ("::1", "[::1]")
    assert called.attributes["url.full"] == f"http://[::1]:{port}/"
    assert called.attributes["network.peer.address"] == served.attributes["client.address"] == "::1"
    assert (served.trace_id, served.parent_id) == (called.trace_id, called.span_id)
