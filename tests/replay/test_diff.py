from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from replay import diff, edit, replay
from replay.cli_diff import diff_as_json, diff_text
from tests.builders import Story
from tracer import effect, step, workflow
from tracer.store import open_store


@step
def one(value: Any) -> Any:
    return value


@step(kind="tool")
def leaf(value: Any) -> Any:
    if value == "bad":
        raise ValueError("no")
    return [value]


@step
def around(value: Any) -> Any:
    return leaf(value)


@effect(stand_in="kept")
def send(value: Any) -> str:
    return "sent"


@workflow
def flow(values: list) -> Any:
    return [around(one(value)) for value in values]


@workflow
def other(values: list) -> Any:
    return [leaf(value) for value in values]


@pytest.fixture
def compared(recorded):
    """Both traces, and their diff."""

    def compare(before: str, after: str) -> Any:
        with open_store(recorded.url) as store:
            return diff(store.trace(before), store.trace(after), store.value)

    return compare


@pytest.fixture
def told(store_of_stories):
    def compare(before: Story, after: Story) -> Any:
        store = store_of_stories
        for story in (before, after):
            store.apply(story.events, owner="me")
        return diff(store.trace(before.trace_id), store.trace(after.trace_id), store.value)

    return compare


@pytest.fixture
def store_of_stories(tmp_path):
    with open_store(tmp_path / "stories.db") as store:
        yield store


def words(found) -> list[tuple[str, str]]:
    return [(row.step.path, row.word) for row in found.rows]


class TestTheSame:
    def test_a_trace_and_itself(self, recorded, compared):
        flow([1, 2])
        trace = recorded.trace().trace_id
        found = compared(trace, trace)
        assert found.same
        assert (found.first, found.cost_delta_nusd, found.token_delta, found.duration_delta_ns) == (None, 0, 0, 0)

    def test_a_replay_that_served_everything(self, recorded):
        flow([1, 2])
        assert replay("latest").diff().same


class TestWhereTheyPart:
    def test_is_the_step_that_differs_and_not_those_around_it(self, recorded):
        flow([1, 2])
        found = replay("latest", edit("around/leaf", [9])).diff()
        assert found.first.step.path == "flow/around/leaf"
        (change,) = found.first.outputs
        assert (change.path, change.before, change.after) == ("$[0]", 1, 9)

    def test_a_step_that_got_another_input_comes_before_what_is_in_it(self, recorded):
        flow([1, 2])
        found = replay("latest", edit("one", 5), on_divergence="live").diff()
        assert found.first.step.path == "flow/one"
        assert next(row.step.path for row in found.rows if row.inputs) == "flow/around"

    def test_a_changed_input_is_the_first_even_where_something_inside_differs(self, recorded, compared):
        around_two = []
        for value in (1, 2):
            flow([value])
            around_two.append(recorded.trace().trace_id)
        found = compared(*around_two)
        assert (found.first.step.path, found.first.inputs[0].path) == ("flow", "$.values[0]")

    def test_an_error_is_told_by_its_class_and_words(self, recorded):
        flow([1])
        found = replay("latest", edit("one", "bad"), on_divergence="live").diff()
        (row,) = [row for row in found.rows if row.step.path == "flow/around/leaf"]
        assert {change.path: change.after for change in row.changes}["error"] == "ValueError: no"

    def test_another_model_is_a_difference_of_its_own(self, told):
        stories = [Story("support"), Story("support")]
        for story, model in zip(stories, ("gpt-4o", "gpt-4o-mini"), strict=True):
            story.call(model, input_tokens=10, output_tokens=2)
            story.finish()
        found = told(*stories)
        assert ("model", "gpt-4o", "gpt-4o-mini") in [(c.path, c.before, c.after) for c in found.first.facts]
        assert found.cost_delta_nusd < 0
        assert found.token_delta == 0


class TestTheAlignedTree:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ("ab", "axb", [("a", "same"), ("x", "added"), ("b", "same")]),
            ("axb", "ab", [("a", "same"), ("x", "removed"), ("b", "same")]),
            ("ab", "ba", [("b", "same"), ("a", "same")]),
            (
                "abc",
                "xyz",
                [("x", "added"), ("y", "added"), ("z", "added"), ("a", "removed"), ("b", "removed"), ("c", "removed")],
            ),
            ("", "a", [("a", "added")]),
        ],
    )
    def test_shows_steps_that_were_put_in_taken_out_or_moved(self, told, before, after, expected):
        stories = []
        for names in (before, after):
            story = Story("w")
            for name in names:
                story.step(name, f"said {name}")
            stories.append(story.finish())
        assert [(path.removeprefix("w/"), word) for path, word in words(told(*stories)) if path != "w"] == expected

    def test_aligns_equal_inputs_before_positions(self, recorded, compared):
        ids = []
        for values in ([1, 2, 3], [0, 1, 2, 3]):
            other(values)
            ids.append(recorded.trace().trace_id)
        found = compared(*ids)
        assert words(found)[1:] == [
            ("other/leaf", "added"), ("other/leaf[1]", "same"), ("other/leaf[2]", "same"), ("other/leaf[3]", "same")
        ]  # fmt: skip

    def test_what_an_edited_step_had_in_it_is_no_difference(self, recorded):
        flow([1])
        found = replay("latest", edit("around", [1])).diff()
        assert found.same

    def test_two_replays_of_one_trace_are_aligned_by_what_they_replayed(self, recorded, compared):
        flow([1, 2])
        origin = recorded.trace().trace_id
        ids = [replay(origin, edit("leaf", value)).trace_id for value in (["a"], ["b"])]
        found = compared(*ids)
        assert {word for _, word in words(found)} == {"same", "changed"}
        assert compared(origin, ids[0]).first.step.path == compared(ids[0], origin).first.step.path

    def test_traces_of_different_workflows_have_nothing_in_common(self, recorded, compared):
        ids = []
        for run in (flow, other):
            run([1])
            ids.append(recorded.trace().trace_id)
        found = compared(*ids)
        assert not found.same
        assert {word for _, word in words(found)} == {"added", "removed"}

    def test_thousands_of_siblings_are_aligned(self, recorded, compared):
        ids = []
        for values in (range(2000), range(1, 2001)):
            other(list(values))
            ids.append(recorded.trace().trace_id)
        counted = [word for _, word in words(compared(*ids))]
        assert (counted.count("same"), counted.count("added"), counted.count("removed")) == (1999, 1, 1)


class TestShown:
    @pytest.fixture
    def found(self, recorded):
        flow([1, 2])
        return replay("latest", edit("leaf", "x" * 100_000)).diff()

    def test_for_a_terminal_in_lines_that_end(self, found):
        from rich.console import Console

        console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        console.print(diff_text(found))
        text = console.export_text()
        assert "They part at flow/around/leaf: its output differs at $." in text
        assert len(text) < 10_000
        console.file.close()

    def test_for_a_program_as_json_that_can_be_written(self, found):
        shown = json.loads(json.dumps(diff_as_json(found)))
        assert shown["first"]["path"] == "flow/around/leaf"
        assert shown["same"] is False
        assert [row["word"] for row in shown["changed"]] == ["changed"] * len(shown["changed"])

    def test_a_row_that_only_one_side_has_speaks_of_that_side(self, found):
        row = replace(found.rows[0], after=None)
        assert row.step is row.before
