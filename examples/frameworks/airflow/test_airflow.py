"""Airflow's tasks belong to who ran the DAG: in one process by themselves, across processes by the run's conf."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pipeline

import tracer
from replay import allow
from tracer import effect, workflow

TICKET = "Where is my order 1042? The delivery is late."
#: What is recorded below the step that runs the DAG: (parent, name) and how often.
TASKS = Counter(
    {
        ("classify", "chat"): 1,
        ("research", "chat"): 2,
        ("research", "lookup_order"): 1,
        ("draft", "chat"): 1,
        ("draft", "send"): 1,
    }
)


def tree(trace):
    names = {each.step_id: each.name for each in trace.steps}
    return Counter((names.get(each.parent_id), each.name) for each in trace.steps)


def below(name):
    return TASKS + Counter({(name, each): 1 for each in ("classify", "research", "draft")})


class TestADagInOneProcess:
    def test_is_recorded_with_its_tasks_below_the_workflow_and_nothing_of_airflows_own(self, provider, record, calls):
        trace = record(pipeline.support, TICKET)
        assert tree(trace) == below("support") + Counter({(None, "support"): 1})
        assert Counter(row[2:] for row in calls(trace)) == provider.counted

    def test_replays_without_a_network(self, record, replay_offline):
        assert "left our house" in replay_offline(record(pipeline.support, TICKET), allow("support")).output

    def test_with_a_task_that_airflow_tries_again_has_a_step_for_each_try(self, provider, record, replay_offline):
        provider.fail(429, where="Choose")
        trace = record(pipeline.support, TICKET)
        assert [each.status for each in trace.steps if each.name == "classify"] == ["failed", "completed"]
        replay_offline(trace, allow("support"))


@workflow
def elsewhere(ticket):
    return trigger(ticket)


@effect
def trigger(ticket):
    """As a request to trigger the DAG does it: what the tasks need of us is in the run's conf."""
    airflow = str(Path(sys.executable).with_name("airflow"))
    conf = json.dumps({"ticket": ticket, **tracer.headers()})
    return subprocess.run([airflow, "dags", "test", "desk", "--conf", conf], check=True, capture_output=True).returncode


class TestADagInOtherProcesses:
    def test_is_part_of_the_trace_of_who_triggered_it_and_is_served_as_a_whole(
        self, provider, record, calls, replay_offline
    ):
        trace = record(elsewhere, TICKET)
        assert tree(trace) == below("trigger") + Counter({(None, "elsewhere"): 1, ("elsewhere", "trigger"): 1})
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        replay_offline(trace)
