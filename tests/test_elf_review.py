"""What a review of the agent found and the programs of tests/elf show only with settings of their own, or by a look at the
spans. The others are in test_elf_programs.py, which also runs these in the ordinary settings."""

from __future__ import annotations

import pytest

from harness.receiver import Receiver
from test_elf_programs import (
    Case,
    agent,  # noqa: F401 (a fixture, as is build)
    agent_environment,
    bare,
    build,  # noqa: F401
    check_passed,
    check_same,
    closed_port,
    run_case,
)

WRONG = {"OTEL_TRACES_SAMPLER": "no_such_sampler"}


def test_records_that_are_not_kept_go_round(agent: str) -> None:  # noqa: F811
    """Every record is free again at once: one that was given back twice is soon on two connections."""
    case = Case("record_reuse")
    check_same(case, run_case(case, agent, **agent_environment(closed_port()), OTEL_TRACES_SAMPLER="always_off"))


def test_out_of_memory_while_exporting(agent: str, receiver: Receiver) -> None:  # noqa: F811
    """The agent's thread has work all the time, and an answer to each export."""
    case = Case("out_of_memory", ("work",))
    environment = agent_environment(receiver.http_endpoint) | {"OTEL_BSP_SCHEDULE_DELAY": "5"}
    result = run_case(case, agent, **environment)
    check_passed(case, result)
    assert result.transcript == bare(case).transcript


def test_a_wrong_setting_is_told_on_standard_error(agent: str) -> None:  # noqa: F811
    """Once in each process: in the next tests there is a line to be lost."""
    case = Case("stderr_lost", ("kept",))
    result = run_case(case, agent, **agent_environment(closed_port()) | WRONG)
    check_passed(case, result)
    told = [line for line in result.err.splitlines() if "OTEL_TRACES_SAMPLER" in line and "no_such_sampler" in line]
    assert len(told) >= 2, result.err


@pytest.mark.parametrize("how", ["broken", "closed", "socket"])
def test_a_wrong_setting_is_not_told_anywhere_else(how: str, agent: str) -> None:  # noqa: F811
    case = Case("stderr_lost", (how,))
    result = run_case(case, agent, **agent_environment(closed_port()) | WRONG)
    check_passed(case, result)  # the program looks at the other end itself, and SIGPIPE would end it
    assert result.transcript == bare(case).transcript


def test_a_child_in_its_parents_memory_ends_no_spans(agent: str, receiver: Receiver) -> None:  # noqa: F811
    case = Case("clone_vm_exit")
    check_same(case, run_case(case, agent, **agent_environment(receiver.http_endpoint)))
    spans = receiver.wait_for(10)
    assert [span.attributes.get("http.response.status_code") for span in spans] == [200] * 10
