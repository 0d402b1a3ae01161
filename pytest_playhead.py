"""The pytest plugin: ``@pytest.mark.playhead`` runs a test's workflows from a cassette. See docs/testing.md.

A module of its own, beside the packages, because pytest loads it in every project that has playhead installed: it
imports nothing of them until a marked test runs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generator

import pytest

if TYPE_CHECKING:
    from replay.cassette.again import Again
    from replay.cassette.take import Asked, Mode, Take, Told

_MODES = ("none", "once", "new", "all")
_UNSAFE = re.compile(r"[^\w.=-]+")
#: Characters of a file's name.
_LONGEST = 100
_TAKE: pytest.StashKey[Take] = pytest.StashKey()
_TOLD: pytest.StashKey[dict[str, Any]] = pytest.StashKey()
_UPDATE = "Record again what changed of the marked tests' runs, and only that."
_MARK = (
    "playhead(cassette=None, strict=False, network=False): play the workflows that this test calls from a cassette. "
    "cassette: its path, from the test's folder on; strict: fail where recorded steps are not used, or their code has "
    "changed; network: let the test itself reach the network"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("playhead", "playhead: tests from recorded runs")
    group.addoption(
        "--replay-mode",
        choices=_MODES,
        help="none: only what is recorded (the default where CI is set); once: record where there is no cassette (the "
        "default elsewhere); new: record what is not in it; all: record everything anew",
    )
    group.addoption("--replay-update", action="store_true", help=_UPDATE)


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> None:
    """When all others have named their options, the short word for ours, unless it is one of theirs."""
    group = parser.getgroup("playhead")
    try:
        group.addoption("--update", action="store_true", dest="replay_update", help=_UPDATE)
        parser.parse_known_args([])  # older pytests see only now that two options have one name
    except argparse.ArgumentError:
        group.options[:] = [option for option in group.options if "--update" not in option.names()]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    config.pluginmanager.register(_Summary(), "playhead-summary")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    mark = item.get_closest_marker("playhead")
    if mark is None:
        return (yield)
    from replay.cassette.files import CassetteError  # noqa: PLC0415 - here and below: only where a test is marked
    from replay.cassette.take import Take  # noqa: PLC0415

    told: Told | None = None
    error: BaseException | None = None
    try:
        with Take.of(_asked(item, mark)) as take:
            item.stash[_TAKE] = take
            try:
                with take.running():
                    return (yield)
            except BaseException as raised:
                error = raised
                raise
            finally:
                told = take.end(error)
                _settle(item, mark, told, error)
    except CassetteError as refused:
        pytest.fail(str(refused), pytrace=False)


def _settle(item: pytest.Item, mark: pytest.Mark, told: Told, error: BaseException | None) -> None:
    """Keep what is to be told, and fail the test where it did not go as recorded."""
    item.stash[_TOLD] = {
        "cassette": told.cassette,
        "unused": told.unused,
        "stale": told.stale,
        "written": told.written,
    }
    if told.failed is not None:
        raise pytest.fail.Exception(told.failed, pytrace=False) from None
    if error is not None:
        if told.divergences:
            lines = [f"Beside its cassette {told.cassette}:", *told.divergences]
            item.add_report_section("call", "playhead", "\n".join(lines))
        return
    if mark.kwargs.get("strict") and (told.unused or told.stale):
        parts = [
            f"{words} {', '.join(paths)}"
            for words, paths in (("not used:", told.unused), ("changed since, and served:", told.stale))
            if paths
        ]
        raise pytest.fail.Exception(
            f"strict: of cassette {told.cassette}, {'; '.join(parts)}. Record it again: "
            f'pytest "{item.nodeid}" --update',
            pytrace=False,
        )


def _asked(item: pytest.Item, mark: pytest.Mark) -> Asked:
    from replay.cassette.take import Asked  # noqa: PLC0415

    unknown = set(mark.kwargs) - {"cassette", "strict", "network"}
    if mark.args or unknown:
        pytest.fail(f"the marker is {_MARK.partition(':')[0]}; it has no {', '.join(sorted(unknown)) or 'places'}")
    mode: Mode = item.config.getoption("replay_mode") or ("none" if os.environ.get("CI") else "once")
    given = mark.kwargs.get("cassette")
    return Asked(
        path=item.path.parent / (_own_path(item) if given is None else given),
        test=item.nodeid,
        mode=mode,
        update=item.config.getoption("replay_update"),
        network=bool(mark.kwargs.get("network")),
    )


def _own_path(item: pytest.Item) -> Path:
    """``cassettes/<module>/<Class>.<test>.json``; what a file can't be called is made safe and told apart."""
    whole = item.nodeid.partition("::")[2].replace("::", ".")
    safe = _UNSAFE.sub("-", whole).strip("-")
    if len(safe) > _LONGEST or _UNSAFE.sub("", whole) != safe.replace("-", "") or _is_ambiguous(whole):
        safe = f"{safe[:_LONGEST]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return Path("cassettes", item.path.stem, f"{safe}.json")


def _is_ambiguous(whole: str) -> bool:
    """Whether something else than the brackets of a parameter was made safe."""
    return _UNSAFE.search(whole.replace("[", "", 1).removesuffix("]")) is not None


@pytest.fixture
def playhead(request: pytest.FixtureRequest) -> Any:
    """The recorded run of this test's cassette: ``playhead.call()`` makes it again, ``playhead.output`` is what it
    gave, and ``playhead.check()`` compares the two."""
    return _Recorded(request.node)


class _Recorded:
    """The take begins after the fixtures: it is asked for when it is needed."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    @property
    def _again(self) -> Again:
        from replay.cassette.again import Again  # noqa: PLC0415

        take = self._item.stash.get(_TAKE, None)
        if take is None:
            pytest.fail("the fixture playhead belongs to a test with the marker @pytest.mark.playhead")
        return Again(take)

    def call(self) -> Any:
        return self._again.call()

    def check(self) -> None:
        self._again.check()

    @property
    def output(self) -> Any:
        return self._again.output


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report: Any = yield
    told = item.stash.get(_TOLD, None) if call.when == "call" else None
    if told is not None:
        report.playhead = told  # plain data, so that it comes across from a worker of pytest-xdist
    return report


class _Summary:
    """What the marked tests have to tell at the end of a run."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = getattr(report, "playhead", None)
        if told is None:
            return
        where = f"{report.nodeid} ({told['cassette']})"
        if told["unused"]:
            self._lines.append(f"{where}: recorded and not used: {', '.join(told['unused'])}")
        if told["stale"]:
            self._lines.append(f"{where}: served, although its code has changed: {', '.join(told['stale'])}")
        if told["written"]:
            self._lines.append(f"{report.nodeid}: wrote {', '.join(told['written'])}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._lines:
            terminalreporter.section("playhead cassettes")
            for line in self._lines:
                terminalreporter.write_line(line)
