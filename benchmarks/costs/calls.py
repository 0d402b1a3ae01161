"""Calls that record nothing, and the naming of arguments alone: CPU of the calling thread per call, in microseconds.

    python -m costs.calls outside        recording is on, and a step is called outside a workflow
    python -m costs.calls disabled       configure(enabled=False): a workflow and a step are called
    python -m costs.calls environment    the same with PLAYHEAD_ENABLED=0, which the caller has set
    python -m costs.calls binding        Binder.name, and inspect's own binding beside it

Prints one line of JSON: a name and a figure each, the undecorated call's (or the empty loop's) own cost taken off.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import time
from typing import Any, Callable

import tracer
from tracer.binding import Binder

CALLS = 100_000
PROMPT = "Answer the customer in two sentences, kindly. "
OPTIONS = {"temperature": 0.2, "top_k": 40}


def answer(prompt: str, options: dict[str, Any]) -> str:  # noqa: ARG001 - only named
    return prompt


def per_call_us(call: Callable[[str, dict[str, Any]], Any]) -> float:
    """The cost of calling, the loop's own included."""
    call(PROMPT, OPTIONS)  # what happens at a first call happens here
    began_ns = time.thread_time_ns()
    for _ in range(CALLS):
        call(PROMPT, OPTIONS)
    return (time.thread_time_ns() - began_ns) / CALLS / 1e3


def switched_off(which: str) -> dict[str, float]:
    """What a decorator costs where nothing is recorded."""
    if which == "disabled":
        tracer.configure(enabled=False)
    step, workflow = tracer.step(answer), tracer.workflow(answer)
    plain = per_call_us(answer)
    figures = {"step": per_call_us(step) - plain}
    if which != "outside":
        figures["workflow"] = per_call_us(workflow) - plain
    return figures


def binding() -> dict[str, float]:
    """What it costs to know the arguments' names, in three ways to give them."""
    name, signature = Binder(answer).name, inspect.signature(answer)
    ways: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "positional": ((PROMPT, OPTIONS), {}),
        "keyword": ((), {"prompt": PROMPT, "options": OPTIONS}),
        "mixed": ((PROMPT,), {"options": OPTIONS}),
    }
    figures = {}
    for way, (args, kwargs) in ways.items():
        empty = _naming_us(lambda _args, _kwargs: None, args, kwargs)
        figures[way] = _naming_us(name, args, kwargs) - empty
        bind = _naming_us(lambda args, kwargs: signature.bind(*args, **kwargs).arguments, args, kwargs)
        figures[f"{way}, by inspect"] = bind - empty
    return figures


def _naming_us(name: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    began_ns = time.thread_time_ns()
    for _ in range(CALLS):
        name(args, kwargs)
    return (time.thread_time_ns() - began_ns) / CALLS / 1e3


def main(which: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        tracer.configure(home=home)
        print(json.dumps(binding() if which == "binding" else switched_off(which)))


if __name__ == "__main__":
    main(sys.argv[1])
