"""Programs that inherit the environment: the running step, carried to what is started with neither call nor request.

    with handed_down():                     # here: TRACEPARENT and TRACESTATE, for what is started inside
        subprocess.run(["python", "job.py"], check=True)

    with tracer.continued(os.environ):      # in job.py: a workflow called here is part of that trace
        work()

Worker processes of ``multiprocessing`` and ``concurrent.futures`` need none of this. The environment is one for the
whole process: two steps that hand it down at the same time take turns.

**A replay starts nothing.** The steps of another program could not be asked about, and their effects would happen
again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Iterator

from tracer.context import CURRENT
from tracer.player import ReplayStopped
from tracer.propagation import headers

_NAMES = ("TRACEPARENT", "TRACESTATE")
# Guards the two of them in os.environ.
_lock = threading.Lock()


@contextlib.contextmanager
def handed_down() -> Iterator[None]:
    """Within: programs that are started find the running step in their environment. Outside a workflow they find none.
    Raises ReplayStopped in a replay."""
    step = CURRENT.get()
    if step is not None and step.is_replay:
        raise ReplayStopped(
            f"{step.path} starts programs of its own, where a replay can't ask about steps, so nothing was started: "
            "make it an @effect, or a @step that a replay serves whole"
        )
    told = {name.upper(): value for name, value in headers().items()}
    with _lock:
        before = {name: os.environ.pop(name, None) for name in _NAMES}
        os.environ.update(told)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
