"""A support ticket through a pipeline of Kubeflow's, on its local runner: each component in a process of its own.

``handed_down()`` puts the running step into the environment that the components inherit, and ``tracer.continued`` takes
it up there: so they are children of ``run``. On a cluster the same two variables are set on the tasks.

A replay starts no process: ``run`` is an effect, served from the record with all that lies below it. A component that
was run by itself is a trace of its own, and is replayed as the plain function it calls.
"""

# No "from __future__ import annotations": Kubeflow reads the annotations as they stand.
import tempfile
from pathlib import Path

from kfp import dsl, local

from tracer import effect, workflow
from tracer.adapters.environment import handed_down


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def classify(ticket: str) -> str:
    import os

    import steps

    import tracer

    with tracer.continued(os.environ):
        return steps.classify(ticket)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def research(ticket: str) -> str:
    import os

    import steps

    import tracer

    with tracer.continued(os.environ):
        return steps.research(ticket)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def draft(ticket: str, intent: str, facts: str) -> str:
    import os

    import steps

    import tracer

    with tracer.continued(os.environ):
        return steps.draft(ticket, intent, facts)


@dsl.pipeline
def desk(ticket: str) -> str:
    intent = classify(ticket=ticket)
    facts = research(ticket=ticket)
    return draft(ticket=ticket, intent=intent.output, facts=facts.output).output


def started() -> None:
    """Let components run here, in processes of this environment."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(Path(tempfile.mkdtemp(prefix="kfp-"))))


@workflow
def support(ticket: str) -> str:
    return run(ticket.strip())


@effect
def run(ticket: str) -> str:
    started()
    with handed_down():
        return str(desk(ticket=ticket).output)
