"""The OpenTelemetry Collector: not ours, strict, and what users send to."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.ports import free_port
from harness.processes import BASE_ENV, CACHE, Program
from harness.receiver import Receiver

CONFIG = """\
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: 127.0.0.1:{grpc}}}
      http: {{endpoint: 127.0.0.1:{http}}}
exporters:
  debug: {{verbosity: detailed}}
  otlp_http:
    traces_endpoint: {out}/v1/traces
    compression: none
    sending_queue: {{enabled: false}}
service:
  telemetry:
    metrics: {{level: none}}
    logs: {{level: info}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug, otlp_http]}}
"""


@dataclass
class Collector:
    """One Collector that passes what it accepted on to a `Receiver`."""

    directory: Path
    receiver: Receiver

    def __post_init__(self) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        config = self.directory / "collector.yaml"
        config.write_text(
            CONFIG.format(grpc=self.grpc_port, http=self.http_port, out=self.receiver.http_endpoint)
        )
        out, err = self.directory / "collector.out", self.directory / "collector.err"
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = subprocess.Popen(
                [str(CACHE / "otelcol"), "--config", f"file:{config}"], env=BASE_ENV,
                stdin=subprocess.DEVNULL, stdout=out_stream, stderr=err_stream,
            )
        self.program = Program(process, out, err)
        self.program.wait_listening(self.grpc_port)
        self.program.wait_listening(self.http_port)

    @property
    def env(self) -> dict[str, str]:
        """For http/protobuf."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.http_port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}

    @property
    def grpc_env(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.grpc_port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    @property
    def text(self) -> str:
        """The debug exporter's account of what arrived (standard error)."""
        return self.program.err.decode()

    def close(self) -> None:
        assert self.program.stop() == 0, self.program.describe()

