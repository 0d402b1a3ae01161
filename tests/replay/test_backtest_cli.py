"""``playhead backtest``, as a shell sees it, and the page that it writes."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tracer
from replay import Pair, Report, backtest, edit
from replay.backtest.cli import backtest_command
from replay.backtest.outcome import Outcome
from replay.backtest.page import report_page
from tests.replay.support import Recorded
from tracer import step, workflow
from tracer.store import Filter

NASTY = "<script>alert(1)</script>\x1b[31m"


@step(kind="tool")
def look_up(value: Any) -> Any:
    return f"found {value}"


@workflow
def shop(value: Any) -> Any:
    tracer.current().score("gold", f"found {value}")
    return look_up(value)


@workflow
def other(value: Any) -> Any:
    print("said by the workflow")  # noqa: T201 - it does
    return look_up(value)


def first_letter(pair: Pair) -> bool:
    return bool(pair.before[:1] == pair.after[:1])


def run(*words: str) -> Result:
    return CliRunner().invoke(backtest_command, ["--workers", "1", *words])


@pytest.fixture
def home(recorded) -> Recorded:
    for value in ("a", "b", NASTY):
        shop(value)
    other("zebra")
    recorded.trace()
    return recorded


class TestTheCommand:
    def test_gives_the_report_as_json(self, home):
        result = run("--workflow", "shop", "--edit", 'look_up="found a"', "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 0
        assert (found["traces"], found["done"], found["agreement"]["count"], found["agreement"]["of"]) == (3, 3, 1, 3)
        assert found["rules"] == ['--edit look_up="found a"']
        assert len(found["outcomes"]) == 3
        assert len(found["most_changed"]) == 2

    def test_shows_the_figures_with_their_intervals(self, home):
        result = run("--workflow", "shop", "--edit", 'look_up="found a"', "--scorer", "label:gold")
        assert "agreement          1 of 3, 33.3 % (6.1 % to 79.2 %) by label:gold" in result.stdout
        assert "right before       3 of 3, 100.0 % (43.9 % to 100.0 %)" in result.stdout
        assert "both 1, only before 2, only after 0, neither 0" in result.stdout
        assert "\x1b" not in result.stdout

    def test_keeps_what_a_workflow_prints_out_of_its_report(self, home):
        result = run("--workflow", "other", "--edit", 'look_up="x"', "--json")
        assert json.loads(result.stdout)["done"] == 1
        assert "said by the workflow" in result.stderr

    def test_says_how_far_it_is_on_standard_error(self, home):
        result = run("--workflow", "shop", "--edit", 'look_up="x"', "--json")
        assert result.stderr.splitlines() == ["1 of 3 traces", "2 of 3 traces", "3 of 3 traces"]

    @pytest.mark.parametrize(
        ("words", "traces"),
        [
            ([], 4),
            (["--workflow", "other"], 1),
            (["--status", "failed"], None),
            (["--limit", "2"], 2),
            (["--since", "1h"], 4),
            (["--search", "zebra"], 1),
        ],
        ids=["all", "workflow", "status", "limit", "since", "search"],
    )
    def test_chooses_traces_as_ls_does(self, home, words, traces):
        result = run(*words, "--edit", 'look_up="x"', "--json")
        if traces is None:
            assert "there are no failed traces" in str(result.exception)
        else:
            assert json.loads(result.stdout)["traces"] == traces

    def test_takes_a_scorer_by_its_name(self, home):
        result = run("--edit", 'look_up="f"', "--scorer", f"{__name__}:first_letter", "--json")
        assert json.loads(result.stdout)["agreement"]["count"] == 4

    def test_shows_a_report_again(self, home):
        told = json.loads(run("--edit", 'look_up="x"', "--json").stdout)
        again = json.loads(run("--resume", told["backtest_id"], "--json").stdout)
        assert again == told

    def test_refuses_to_resume_what_never_was(self, home):
        result = run("--resume", "nothing")
        assert "there is no backtest nothing" in str(result.exception)

    def test_says_what_dask_needs_where_no_scheduler_answers(self, home):
        result = run("--dask", "no address", "--edit", 'look_up="x"')
        assert "no Dask scheduler answers at no address" in str(result.exception)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


class TestThePage:
    def test_is_one_file_without_script_that_asks_no_other_host(self, home, tmp_path):
        page = tmp_path / "report.html"
        run("--workflow", "shop", "--edit", 'look_up="found a"', "--scorer", "label:gold", "--html", str(page))
        text = page.read_text()
        tags = Tags(text)
        assert "script" not in tags.seen
        assert (tags.links, "http" in text) == ([], False)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "1 of 3, 33.3 % (6.1 % to 79.2 %)" in text

    def test_of_a_backtest_without_a_change_says_so(self, home):
        report = backtest(Filter(workflow="other"), edit("look_up", "found zebra"), workers=1)
        assert "No trace changed." in report_page(report)

    def test_shows_what_is_unknown_as_unknown(self):
        row = Outcome("a" * 32, status_before="completed", problem="the workflow is gone")
        page = report_page(Report("b", ("--edit x=1",), "exact", ("a" * 32,), (row,), (), 0))
        assert "nothing could be compared" in page
        assert "the workflow is gone" in page
