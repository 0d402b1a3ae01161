"""Several traces beside each other."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from replay import edit, live, replay
from replay.cli_diff import several_as_json
from replay.several import several
from tracer import step, workflow
from tracer.cli import main
from tracer.store import open_store


@step
def classify(text: str) -> str:
    return "billing"


@step(kind="tool")
def look_up(intent: str) -> str:
    return f"found {intent} for you"


@step(kind="tool")
def extra(intent: str) -> str:
    return intent


@workflow
def support(text: str) -> str:
    intent = classify(text)
    if intent == "loans":
        extra(intent)
    return look_up(intent)


@pytest.fixture
def traces(recorded):
    support("card")
    first = recorded.trace().trace_id
    same = replay(first).trace_id
    loans = replay(first, edit("classify", "loans"), on_divergence="live").trace_id
    again = replay(first, edit("classify", "loans"), live("look_up"), on_divergence="live").trace_id
    return first, same, loans, again


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), env={"COLUMNS": "200"})


def compared(recorded, *ids: str) -> Any:
    with open_store(recorded.url) as store:
        return several([store.trace(each) for each in ids], store.value)


class TestSeveralTraces:
    def test_are_one_tree_with_a_column_for_each_but_the_first(self, recorded, traces):
        found = compared(recorded, *traces)
        told = {row.step.path: [cell and cell.word for cell in row.cells] for row in found.rows}
        assert told == {
            "support": ["same", "changed", "changed"],
            "support/classify": ["same", "changed", "changed"],
            "support/extra": [None, "added", "added"],
            "support/look_up": ["same", "changed", "changed"],
        }
        assert not found.same

    def test_begin_where_one_of_them_parts_first(self, recorded, traces):
        assert compared(recorded, *traces).first.step.path == "support/classify"
        assert compared(recorded, *traces[:2]).first is None

    def test_that_are_the_same_are_the_same(self, recorded, traces):
        assert compared(recorded, traces[0], traces[1], traces[0]).same

    def test_of_two_say_what_a_diff_of_two_says(self, recorded, traces):
        found = compared(recorded, traces[0], traces[2])
        (only,) = found.diffs
        assert [cell for row in found.rows for cell in row.cells if cell is not None] == [
            row for row in only.rows if row.word != "removed"
        ]

    def test_are_told_to_programs_by_what_differs(self, recorded, traces):
        told = several_as_json(compared(recorded, *traces[:3]))
        assert (told["first"], told["same"], len(told["diffs"])) == ("support/classify", False, 2)
        assert {"path": "support/extra", "words": [None, "added"]} in told["changed"]


class TestTheCommand:
    def test_takes_two_or_more(self, recorded, traces):
        shown = run("diff", *traces)
        assert shown.exit_code == 1
        assert shown.stdout.startswith("They part first at support/classify.")
        assert "found loans for you" in shown.stdout
        assert run("diff", traces[0], traces[1], traces[0]).exit_code == 0
        assert run("diff", traces[0]).exit_code == 2

    def test_shows_the_words_of_a_text_that_differ(self, recorded, traces):
        shown = run("diff", traces[0], traces[2])
        assert "$ found billing for you" in shown.stdout
        assert "$ found loans for you" in shown.stdout
