"""gRPC programs, tonic's and grpcio's, that take the same commands (tests/tonic/src/main.rs), and the spans of their calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable

from harness.assertions import ANY_IP, ANY_PORT, Expect, assert_child, assert_root, assert_span
from harness.ports import free_port
from harness.processes import CACHE, PYTHON, ROOT, Launcher, Program
from harness.spans import Span, draw

TONIC: tuple = (CACHE / "tonic/calls",)
GRPCIO: tuple = (PYTHON, ROOT / "tests/programs/grpc_calls.py")
NAMES = {TONIC: "tonic", GRPCIO: "grpcio"}

KINDS = ("Unary", "Collect", "List", "Chat")
CODES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
         "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
         "DATA_LOSS", "UNAUTHENTICATED")
OF_SERVER = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}

# The id of a call is in its metadata, and by that in its spans.
ENV = {f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{side}_REQUEST": "x-id" for side in ("SERVER", "CLIENT")}


def serve(launcher: Launcher, who: tuple, env: dict[str, str] | None = None, **options: Any) -> Program:
    return launcher.start(*who, "serve", port=free_port(), env={**ENV, **(env or {})}, service="server", **options)


@dataclass(frozen=True)
class Answer:
    id: str
    code: int  # -1: given up by the caller
    message: str
    answers: list[dict[str, str]]

    @property
    def traceparent(self) -> str:
        """What the service found in the metadata."""
        (value,) = {answer["traceparent"] for answer in self.answers}
        return value

    @property
    def without_context(self) -> tuple:
        return self.id, self.code, self.message, [{**answer, "traceparent": ""} for answer in self.answers]


def answers_of(out: bytes) -> dict[str, Answer]:
    """By the ids of the calls."""
    lines = [json.loads(line) for line in out.splitlines()]
    made = [Answer(**{**line, "answers": [dict(pair.split("=", 1) for pair in text.split("&")) for text in line["answers"]]})
            for line in lines]
    assert len({answer.id for answer in made}) == len(made)
    return {answer.id: answer for answer in made}


def call(launcher: Launcher, who: tuple, url: str, calls: Iterable[str], env: dict[str, str] | None = None,
         **options: Any) -> dict[str, Answer]:
    done = launcher.run(*who, "call", url, *calls, env={**ENV, **(env or {})}, service="client", **options)
    assert done.code == 0, done.err
    return answers_of(done.out)


def expected(side: str, method: str, code: str | None, port: int, *, id: str, error: str | None = None, host: str = "127.0.0.1",
             **extra: Any) -> Expect:
    """The span of one call, complete. `error`: what failed, where no status tells. A method that the server does not know is `_OTHER`.
    Keyword arguments with `__` for dots change attributes."""
    unknown = code == "UNIMPLEMENTED"
    attributes: dict[str, Any] = {
        "rpc.system.name": "grpc",
        "rpc.method": "_OTHER" if unknown else method,
        "server.address": host,
        "server.port": port,
        "network.peer.address": ANY_IP,
        "network.peer.port": port if side == "CLIENT" else ANY_PORT,
        "rpc.request.metadata.x-id": [id],
    }
    if unknown:
        attributes["rpc.method_original"] = method
    if code:
        attributes["rpc.response.status_code"] = code
        error = error or (code if code in OF_SERVER or side == "CLIENT" and code != "OK" else None)
    if error:
        attributes["error.type"] = error
    attributes |= {key.replace("__", "."): value for key, value in extra.items()}
    attributes = {key: value for key, value in attributes.items() if value is not None}
    return Expect(side, "grpc" if unknown else method, attributes, "ERROR" if error else "UNSET")


def id_of(span: Span) -> str:
    (value,) = span.attributes["rpc.request.metadata.x-id"]
    return value


def pairs_of(spans: Iterable[Span], ids: Iterable[str]) -> dict[str, tuple[Span, Span]]:
    """By id: exactly one CLIENT span, a root of a trace of its own, and the SERVER span under it."""
    spans = list(spans)
    ids = list(ids)
    assert len(spans) == 2 * len(ids), f"wanted {2 * len(ids)} spans, got {len(spans)}:\n{draw(spans)}"
    found: dict[str, tuple[Span, Span]] = {}
    for wanted in ids:
        mine = sorted((span for span in spans if id_of(span) == wanted), key=lambda span: span.kind)
        assert [span.kind for span in mine] == ["CLIENT", "SERVER"], f"id {wanted}:\n{draw(mine)}"
        assert_root(mine[0])
        assert_child(mine[1], mine[0])
        found[wanted] = (mine[0], mine[1])
    assert len({called.trace_id for called, _ in found.values()}) == len(ids)
    return found


def assert_call(pair: tuple[Span, Span], kind: str, code: str, port: int, id: str) -> None:
    method = f"tests.Calls/{kind}"
    assert_span(pair[0], expected("CLIENT", method, code, port, id=id))
    assert_span(pair[1], expected("SERVER", method, code, port, id=id))
