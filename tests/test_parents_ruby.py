"""Every parent in Ruby: Puma's pool and reactor, fibers of Async::HTTP, and what requests begin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import apps, client
from harness.assertions import assert_exactly
from harness.parents import Counts, count_parents, fire
from harness.processes import COMMAND, NONE, Launcher
from harness.receiver import Receiver
from harness.scenarios.ruby import (
    ASYNC,
    ASYNC_QUEUE,
    PUMA,
    PUMA_CLOSING,
    PUMA_QUEUE,
    PUMA_TLS,
    PUMA_WORKERS,
    start_async,
    start_puma,
)
from harness.tls import TlsUpstream, certificates
from harness.upstream import Upstream

ROUNDS = 3
ALL = Counts(20 * ROUNDS, 0, 0)


def test_puma(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start_puma(launcher, upstream)
    for path in PUMA:
        assert fire(receiver, program.port, path, rounds=ROUNDS) == ALL, path


def test_puma_with_a_connection_for_each_request(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start_puma(launcher, upstream)
    for path in PUMA_CLOSING:
        assert fire(receiver, program.port, path, rounds=ROUNDS, keep=False) == ALL, path


@pytest.mark.parametrize("preload", [{}, {"PRELOAD": "1"}], ids=["workers", "preload"])
def test_puma_workers(launcher: Launcher, receiver: Receiver, upstream: Upstream, preload: dict[str, str]) -> None:
    program = start_puma(launcher, upstream, WORKERS="2", **preload)
    for path in PUMA_WORKERS:
        assert fire(receiver, program.port, path, rounds=ROUNDS) == ALL, path


def test_puma_inside_tls(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """Puma's TLS goes through memory buffers, net/http's is on the socket."""
    program = start_puma(launcher, tls_upstream, **certificates().env)
    for path in PUMA_TLS:
        assert fire(receiver, program.port, path, rounds=ROUNDS, secure=True) == ALL, path


def test_puma_pipelined(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Several requests in one read: each is answered in its turn."""
    program = start_puma(launcher, upstream)
    with client.Raw(program.port) as raw:
        raw.send(b"".join(b"GET /late?id=%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5)))
        for _ in range(5):
            raw.response()
    assert count_parents(assert_exactly(receiver, 10, program.port)) == Counts(5, 0, 0)


def test_a_worker_that_a_request_began_is_not_its_own(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The first request begins the thread, and is open while others give it jobs: none of them is the first one's."""
    program = start_puma(launcher, upstream)
    counts = fire(receiver, program.port, PUMA_QUEUE, rounds=ROUNDS)
    assert counts == Counts(0, 0, ALL.right)


def test_async_http(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start_async(launcher, upstream)
    for path in ASYNC:
        assert fire(receiver, program.port, path, rounds=ROUNDS) == ALL, path


def test_a_task_that_a_request_began_is_not_its_own(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    counts = fire(receiver, start_async(launcher, upstream).port, ASYNC_QUEUE, rounds=ROUNDS)
    assert counts == Counts(0, 0, ALL.right)


def test_webrick(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A thread a connection: the rules are right already, and stay."""
    program = apps.start(launcher, "ruby", upstream.url)
    assert fire(receiver, program.port, "/fetch", rounds=ROUNDS) == ALL


SHOWN = "p Thread.ancestors.include?(Thread), Thread.instance_method(:initialize).owner == Thread, ENV['RUBYOPT']"


def owner(launcher: Launcher, *argv: str | Path, **env: str) -> str:
    """Whether the bridge is in place: `true` where `Thread#initialize` is Ruby's own."""
    run = launcher.run("ruby", *argv, "-rwebrick", "-e", SHOWN, env=env)
    assert run.code == 0, run
    return run.out.decode().split()[1]


def test_is_there_and_can_be_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    assert owner(launcher) == "false"
    assert owner(launcher, OTEL_INSTRUMENTATION_RUBY_ENABLED="false") == "true"
    assert owner(launcher, OTEL_INSTRUMENTATION_CONCURRENT_RUBY_ENABLED="false") == "true"
    program = start_puma(launcher, upstream, OTEL_INSTRUMENTATION_RUBY_ENABLED="false")
    counts = fire(receiver, program.port, "/thread", rounds=1)
    assert counts.none == 20, "as without it: the rules know nothing of other threads"


def test_the_programs_own_sdk(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry-auto-instrumentation.rb").write_text("")
    assert owner(launcher, RUBYOPT=f"-r{tmp_path}/opentelemetry-auto-instrumentation") == "true"


def test_threads_that_cannot_be_wrapped(launcher: Launcher, tmp_path: Path) -> None:
    """The script gives up where it must, without a word."""
    (tmp_path / "freeze.rb").write_text("Queue.freeze")
    assert owner(launcher, "-w", RUBYOPT=f"-r{tmp_path}/freeze") == "true"


QUIET: dict[str, list[str]] = {
    "warnings": ["-w", "-rwebrick", "-e", "p Thread.new(1, {a: 2}, b: 3) { |x, y, b:| [x, y, b] }.value, ENV['RUBYOPT']"],
    "queues": ["-w", "-rwebrick", "-e", "q = Queue.new << 1 << 2 << 3; p q.pop, q.shift(true), q.deq; q.pop(true) rescue p $!"],
    "conditions": ["-w", "-rwebrick", "-e", "m = Mutex.new; m.synchronize { ConditionVariable.new.wait(m, 0.01) }; p m.locked?"],
    "names": ["-rwebrick", "-e", "p Object.constants.grep(/otel/i), global_variables.grep(/otel/), "
              "Thread.current.instance_variables, Thread.new {}.inspect[/-e:1/], Thread.current.keys, $!"],
    "no gems": ["--disable-gems", "-w", "-e", "p 1"],
    "version": ["--version"],
    "syntax": ["-c", "-e", "p 1"],
    "wrong syntax": ["-e", "p ("],
    "exit": ["-rwebrick", "-e", "at_exit { p $!.class }; Thread.new { Thread.current.report_on_exception = false; raise 'x' }.join"],
    "ractors": ["-W0", "-rwebrick", "-e", "p Ractor.new { q = Queue.new; Thread.new { q << 1 }; [q.pop, Thread.new { 2 }.value] }.take"],
    "fork": ["-rwebrick", "-e", "Process.wait(fork { p Thread.new { 1 }.value }); p $?.exitstatus"],
    "compaction": ["-rwebrick", "-e", "GC.compact; p Thread.new { GC.start; 1 }.value"],
    "irb": ["-S", "irb", "-f", "--noprompt"],
    "rake": ["-S", "rake", "--version"],
}


@pytest.mark.parametrize("what", QUIET)
def test_programs_are_as_without_it(launcher: Launcher, what: str) -> None:
    """Output, errors and exit status are the same, to the byte."""
    bare, under = (launcher.run("ruby", *QUIET[what], how=how, stdin=b"p 1\n") for how in (NONE, COMMAND))
    assert (under.code, under.out, under.err) == (bare.code, bare.out, bare.err)
    assert what == "wrong syntax" or bare.out, "it says something"


FAKE = r"""
#include <stdio.h>
int rb_mod_module_eval(void) { return puts("called"); }
int ruby_executable_node(void *node, int *status) { puts("asked"); return 1; }
int ruby_run_node(void *node) {
  volatile int sum = 0;
  for (int i = 0; i < 10; i++) sum += i;
  printf("ran %d\n", sum);
  return 0;
}
int main(void) { return ruby_run_node((void *)8); }
"""


def test_an_interpreter_without_a_function_that_is_needed(launcher: Launcher, tmp_path: Path) -> None:
    ruby = tmp_path / "ruby"
    (tmp_path / "ruby.c").write_text(FAKE)
    subprocess.run(["gcc", "-O1", "-fno-inline", "-rdynamic", "-o", ruby, tmp_path / "ruby.c"], check=True)
    run = launcher.run(ruby, env={"OTEL_LOG_LEVEL": "debug"})
    assert (run.code, run.out) == (0, b"ran 45\n")
    assert b"no bridge into Ruby: a function is missing" in run.err
