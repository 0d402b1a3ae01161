"""Airflow: a task's talk with Airflow kept out of the record.

    from tracer.adapters import airflow
    airflow.install()

    @task
    @workflow          # playhead's, below Airflow's
    def classify(ticket): ...

A task in a process of its own is a trace of its own; with the caller's headers in the ``conf`` of the DAG run, and
``tracer.continued`` around the task, it is part of the caller's. Under ``dag.test()``, in a workflow, tasks are steps
of it, and so they are in a replay: with Airflow's database, without a server or a network. There a task talks with
Airflow by requests that never leave the process; to the pipeline they are nothing.

Keep the tasks in a module that the file in the DAG folder imports: that file itself Airflow loads under a name of its
own, by which no replay can find the function of a task.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import Any

from airflow.sdk.api.client import Client

from tracer.carrier import nobody

_lock = threading.Lock()
_installed = False


def install() -> None:
    """From now on, once for the process."""
    global _installed  # noqa: PLW0603 - the state of this process
    with _lock:
        if _installed:
            return
        _installed = True
    send = Client.send

    @wraps(send)
    def unseen(self: Any, *args: Any, **kwargs: Any) -> Any:
        with nobody():
            return send(self, *args, **kwargs)

    Client.send = unseen  # type: ignore[method-assign,unused-ignore]
