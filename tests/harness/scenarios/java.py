"""Java: executors, futures, timers, virtual threads and HTTP clients (programs/java), in the JDK's server and in libraries'."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness.jdks import LIBRARIES, compiled, runtimes
from harness.ports import free_port
from harness.processes import Launcher, Program
from harness.scenarios import HAND_OFF, IMMEDIATE, LATER, PROGRAMS, Scenario, Stage, output, ways
from harness.tls import certificates

OPTIONS = ["-XX:+UseSerialGC", "-Xmx256m"]
# The runtime of Java 11 that is to be had is without the JDK's own HTTP server.
JDKS = [jdk for jdk in runtimes() if jdk > 11]
TASKS = ["direct", "pool", "execute", "nested", "scheduled", "timer", "fork", "common", "parallel", "supply", "then", "then-async",
         "delayed", "client", "client-async", "client-later", "client-then", "client-newer"]
VIRTUAL = ["virtual", "virtual-client"]
# A thread that is started by hand may live longer than its request, and work for others: nobody's.
THREAD = "thread"
IN_VIRTUAL = ["direct", "pool", "scheduled", "then-async", "client", "client-async", *VIRTUAL]
IN_TLS = ["direct", "pool", "scheduled", "client", "client-async", "client-later", "client-newer"]
CLIENTS = ["pool", "later", "jdk", "jdk-later", "apache", "ok", "ok-async"]
SERVERS = {
    "tomcat": ["plain", *CLIENTS],
    "tomcat-async": ["plain", *CLIENTS],
    "jetty": ["plain", *CLIENTS],
    "netty": CLIENTS,
    "netty-epoll": CLIENTS,
    "reactor": CLIENTS,
}
# Name, and the library that has the version.
NAMES = {
    "tomcat": ("Tomcat", "tomcat-embed-core"),
    "tomcat-async": ("Tomcat with startAsync", "tomcat-embed-core"),
    "jetty": ("Jetty", "jetty-server"),
    "netty": ("Netty on NIO", "netty-transport-native-epoll"),
    "netty-epoll": ("Netty on epoll", "netty-transport-native-epoll"),
    "reactor": ("Reactor Netty", "reactor-netty-http"),
}

KINDS = {
    **dict.fromkeys(["direct", "plain", "client", "jdk", "apache", "ok"], IMMEDIATE),
    **dict.fromkeys(["scheduled", "timer", "delayed", "later", "jdk-later", "client-later"], LATER),
}


def library(artifact: str) -> str:
    """The version of a library (programs/java/pom.xml)."""
    found = re.search(rf"<artifactId>{artifact}</artifactId><version>([^<]+)", (PROGRAMS / "java/pom.xml").read_text())
    assert found, artifact
    return found[1].removesuffix(".Final")


def java(jdk: int) -> str:
    return str(runtimes()[jdk] / "bin/java")


def start_java(launcher: Launcher, jdk: int, classes: Path, upstream: str, *, options: tuple[str, ...] = (), **more) -> Program:
    env = {"UPSTREAM": upstream, **more.pop("env", {})}
    path, program = (f"{classes}:{LIBRARIES}/*", "Libraries") if "SERVER" in env else (classes, "Parents")
    return launcher.start(java(jdk), *OPTIONS, *options, "-cp", path, program, env=env, port=free_port(), **more)


def make_stores(directory: Path) -> Path:
    """The certificates as Java wants them."""
    made = certificates()
    for words in (
        ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", made.ca, "-keystore", directory / "trust.p12",
         "-storetype", "PKCS12", "-storepass", "secret"],
        ["openssl", "pkcs12", "-export", "-in", made.cert, "-inkey", made.key, "-out", directory / "keys.p12",
         "-passout", "pass:secret"],
    ):
        subprocess.run(words, check=True, capture_output=True)
    return directory


def in_tls(stores: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Options and environment of a program that serves and calls inside TLS."""
    options = (f"-Djavax.net.ssl.trustStore={stores}/trust.p12", "-Djavax.net.ssl.trustStorePassword=secret")
    return options, {"KEYSTORE": str(stores / "keys.p12")}


def scenarios() -> list[Scenario]:
    def row(jdk: int, name: str, software: str, paths: list[str], *, secure: bool = False, many: bool = False, **env: str) -> Scenario:
        def start(stage: Stage) -> Program:
            directory = stage.launcher.directory
            options, keys = in_tls(make_stores(directory)) if secure else ((), {})
            classes = compiled(directory, "Parents", "Libraries")
            return start_java(stage.launcher, jdk, classes, stage.upstream.url, options=options, env={**env, **keys})

        kinds = {path: KINDS.get(path, HAND_OFF) for path in paths}
        return Scenario("Java", f"{name}-{jdk}", output(java(jdk), "-version", pattern=r"\d+(?:\.\d+)+"), software, start,
                        ways([f"/{path}" for path in paths], kinds), secure=secure, many=many)

    own, clients = "the JDK's HttpServer", "HttpURLConnection, java.net.http"
    rows = []
    for jdk in JDKS:
        virtual = VIRTUAL if jdk >= 21 else []
        rows.append(row(jdk, "jdk", f"{own}; {clients}", [*TASKS, *virtual, THREAD], many=True))
        rows.append(row(jdk, "jdk-tls", f"{own}; {clients}, TLS", [*IN_TLS, *virtual], secure=True))
        if virtual:
            rows.append(row(jdk, "jdk-virtual", f"{own} on virtual threads; {clients}", IN_VIRTUAL, SERVE="virtual"))
    libraries = f"HttpURLConnection, java.net.http, Apache HttpClient {library('httpclient5')}, OkHttp {library('okhttp')}"
    rows += [row(17, name, f"{NAMES[name][0]} {library(NAMES[name][1])}; {libraries}", paths, many=name == "tomcat", SERVER=name) for name, paths in SERVERS.items()]
    return rows
