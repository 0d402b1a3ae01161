"""What each framework's test is made of: a provider on this machine, a store of its own, a replay without a network.

The tests of one framework run in a process of their own (see run.py), and import their folder's ``pipeline``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Protocol

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from provider import Provider

import tracer
from replay import Replay, Rule, replay
from tracer.model import Step, Trace
from tracer.reading import open_reading

#: One for the whole process: clients are made where a pipeline is imported, and keep its address.
PROVIDER = Provider()
_URL = PROVIDER.url
_KEY = "sk-loopback"

#: Where the SDKs look for their provider, and what keeps the frameworks from talking to anybody else.
ENVIRONMENT = {
    "PROVIDER_URL": _URL,
    "OPENAI_BASE_URL": f"{_URL}/v1",
    "OPENAI_API_BASE": f"{_URL}/v1",
    "OPENAI_API_KEY": _KEY,
    "ANTHROPIC_BASE_URL": _URL,
    "ANTHROPIC_API_BASE": _URL,
    "ANTHROPIC_API_KEY": _KEY,
    "GOOGLE_GEMINI_BASE_URL": _URL,
    "GOOGLE_API_KEY": _KEY,
    "MISTRAL_API_KEY": _KEY,
    "GROQ_BASE_URL": _URL,
    "GROQ_API_KEY": _KEY,
    "CO_API_URL": _URL,
    "CO_API_KEY": _KEY,
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": _URL,
    "AWS_ACCESS_KEY_ID": "loopback",
    "AWS_SECRET_ACCESS_KEY": "loopback",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ANONYMIZED_TELEMETRY": "false",
    "PLAYHEAD_STRICT": "1",
}
os.environ.update(ENVIRONMENT)


class Row(NamedTuple):
    """One model call of a trace. ``around`` is the path of the step that it was made in, ``model`` the one that
    answered, or the one that was asked where the answer doesn't say. The last three are what the provider counts:
    ``Counter(row[2:] for row in calls(trace)) == provider.counted``."""

    around: str
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None


class Recorder(Protocol):
    def __call__(self, fn: Callable[..., Any], *args: Any, raises: type[BaseException] | None = None) -> Trace: ...


class Replayer(Protocol):
    def __call__(self, trace: Trace, *rules: Rule, may_connect: Callable[[Any], bool] = ...) -> Replay: ...


# -- what leaves this process ------------------------------------------------------------------------------------------


class _Watch:
    """Every address that this process connects to or asks the name service for, while somebody watches."""

    def __init__(self) -> None:
        self.seen: list[Any] | None = None
        sys.addaudithook(self._hear)  # for good: there is no way to take one out

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is None or not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto"} and not isinstance(arguments[1], str | bytes):
            self.seen.append(arguments[1])
        elif event == "socket.getaddrinfo":
            self.seen.append(arguments[:2])

    def during(self, call: Callable[[], Any]) -> tuple[Any, list[Any]]:
        self.seen = seen = []
        try:
            return call(), seen
        finally:
            self.seen = None


_WATCH = _Watch()

# -- the report that run.py reads --------------------------------------------------------------------------------------

_SUMS = {"arrived": 0, "recorded": 0, "replays": 0, "served": 0, "passed": 0, "failed": 0, "skipped": 0}
_WHY: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.failed or report.skipped:
        _SUMS[report.outcome] += 1
    if not report.passed:
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _WHY.append(f"{report.nodeid.rpartition('::')[2]}: {said.strip().splitlines()[-1] if said else 'no reason'}")


def pytest_sessionfinish() -> None:
    if target := os.environ.get("FRAMEWORKS_REPORT"):
        Path(target).write_text(json.dumps({**_SUMS, "why": _WHY}), encoding="utf-8")


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A started provider that nobody has asked anything; every SDK's environment leads to it."""
    PROVIDER.reset()
    with PROVIDER:
        yield PROVIDER


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of its own for each test."""
    monkeypatch.setenv("PLAYHEAD_HOME", str(tmp_path / ".playhead"))
    monkeypatch.delenv("PLAYHEAD_DATABASE_URL", raising=False)
    tracer.shutdown()
    yield tmp_path
    tracer.shutdown()


@pytest.fixture
def record(provider: Provider) -> Recorder:
    """Runs a workflow, sync or async, and gives the trace as it is read back from the store."""

    def run(fn: Callable[..., Any], *args: Any, raises: type[BaseException] | None = None) -> Trace:
        before = len(provider.requests)
        try:
            result = fn(*args)
            if inspect.isawaitable(result):
                asyncio.run(_awaited(result))
        except BaseException as error:
            if raises is None or not isinstance(error, raises):
                raise
        else:
            assert raises is None, f"nothing was raised, and {raises} was expected"
        assert tracer.flush()
        with open_reading() as store:
            trace = store.trace(store.resolve("latest"))
        _SUMS["arrived"] += sum(request.method == "POST" for request in provider.requests[before:])
        _SUMS["recorded"] += sum(step.call is not None for step in trace.steps if _is_model_call(step))
        return trace

    return run


async def _awaited(result: Any) -> Any:
    return await result


@pytest.fixture
def calls() -> Callable[[Trace], list[Row]]:
    """Every model call of a trace, in the order they began."""

    def rows(trace: Trace) -> list[Row]:
        paths = {step.step_id: step.path for step in trace.steps}
        return [
            Row(
                paths.get(step.parent_id or "", ""),
                step.call.provider,
                step.call.model or step.call.model_asked,
                step.call.usage.input_tokens,
                step.call.usage.output_tokens,
            )
            for step in trace.steps
            if step.call is not None and _is_model_call(step)
        ]

    return rows


def _is_model_call(step: Step) -> bool:
    return step.kind in {"llm", "embedding"} and step.call is not None and step.call.model_asked is not None


@pytest.fixture
def replay_offline(provider: Provider) -> Replayer:
    """Replays a trace with the provider gone: once as it is, and once with every body run and only the calls served.

    Gives the second. ``rules`` are the replay's; ``may_connect`` says which addresses are a server of the framework's
    own on this machine.
    """

    def run(trace: Trace, *rules: Rule, may_connect: Callable[[Any], bool] = lambda _: False) -> Replay:
        before = len(provider.requests)
        provider.stop()
        try:
            _replayed(trace, rules, may_connect, verify=False)
            result = _replayed(trace, rules, may_connect, verify=True)
        finally:
            provider.start()
        assert len(provider.requests) == before
        return result

    return run


def _replayed(trace: Trace, rules: tuple[Rule, ...], may_connect: Callable[[Any], bool], *, verify: bool) -> Replay:
    result, connected = _WATCH.during(lambda: replay(trace.trace_id, *rules, verify=verify))
    assert result.stopped is None
    assert [place for place in connected if not may_connect(place)] == []
    assert result.live == 0
    assert result.divergences == ()
    recorded = trace.root
    assert recorded is not None
    if recorded.failure is not None:
        assert (type(result.error).__name__, str(result.error)) == (recorded.failure.type, recorded.failure.message)
    else:
        assert result.error is None
        assert recorded.output is not None
        with open_reading() as store:
            assert result.output == store.value(recorded.output)
    made = sum(_is_model_call(step) for step in trace.steps)
    assert made > 0, "no model call was recorded: there is nothing to replay"
    assert result.served_steps >= made
    _SUMS["replays"] += 1
    _SUMS["served"] += made
    return result
