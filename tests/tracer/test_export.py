"""Traces as tables and as a timeline, for other tools."""

from __future__ import annotations

import csv
import io
import json
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import Story
from tests.sources import REPOSITORY
from tracer.export import chrome
from tracer.export.files import NotInstalled, write_csv, write_parquet
from tracer.export.rows import FIELDS, Row, rows_of
from tracer.model import Step, Trace, TraceSummary
from tracer.store import Store

SIX = "0123456789abcdef" * 2
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def told(store: Store) -> Trace:
    """A workflow with a model call that was scored, and a step that failed with words that look like a formula."""
    story = Story("support", input={"text": "=1+1"})
    call = story.call("gpt-4o", input_tokens=30, output_tokens=4)
    story.note(call, "correct", False, kind="score")
    story.note(call, "correct", True, kind="score", occurrence=1)
    story.step("check", error=ValueError("=HYPERLINK(1)"), tags={"team": "cards"})
    store.apply(story.finish(output=Decimal("1.50")).events, owner="me")
    return store.trace(story.trace_id)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestARow:
    def test_is_made_of_each_step_with_its_call_its_failure_and_its_values(self, store: Store) -> None:
        trace = told(store)
        root, call, check = rows_of(trace, store.value)
        assert [row["path"] for row in (root, call, check)] == [step.path for step in trace.steps]
        assert (root["workflow"], root["trace_status"], root["parent_id"]) == ("support", "completed", None)
        assert (root["input"], root["output"]) == ('{"text": "=1+1"}', '"1.50"')
        assert (call["model"], call["input_tokens"], call["output_tokens"]) == ("gpt-4o", 30, 4)
        assert call["cost_nusd"] == trace.steps[1].call.cost.nusd  # type: ignore[union-attr]
        assert json.loads(call["scores"]) == {"correct": True}
        assert (check["error_type"], check["error_message"]) == ("ValueError", "=HYPERLINK(1)")
        assert json.loads(check["tags"]) == {"team": "cards"}

    def test_has_all_fields_whatever_its_step(self, store: Store) -> None:
        for row in rows_of(told(store), None):
            assert list(row) == [each.name for each in FIELDS]
            assert (row["input"], row["output"]) == (None, None)

    def test_is_described_in_the_guide(self) -> None:
        page = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")
        for each in FIELDS:
            assert f"| `{each.name}` | {each.type} | {each.about} |" in page


class TestATable:
    def test_as_csv_is_what_the_rows_say(self, store: Store) -> None:
        rows = rows_of(told(store), store.value)
        file = io.StringIO(newline="")
        assert write_csv(file, [rows, rows]) == 6
        for cells, row in zip(read(file.getvalue()), rows * 2, strict=True):
            for name, value in row.items():
                assert cells[name].removeprefix("'") == ("" if value is None else str(value))

    def test_as_csv_has_no_cell_that_a_spreadsheet_would_run(self, store: Store) -> None:
        file = io.StringIO(newline="")
        write_csv(file, [rows_of(told(store), store.value)])
        assert read(file.getvalue())[2]["error_message"] == "'=HYPERLINK(1)"

    def test_as_parquet_has_types_and_says_what_its_columns_are(self, store: Store) -> None:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        rows = rows_of(told(store), store.value)
        file = io.BytesIO()
        assert write_parquet(file, [rows, rows[:1]]) == 4
        table = parquet.read_table(io.BytesIO(file.getvalue()))
        assert table.to_pylist() == [*rows, rows[0]]
        assert table.schema.field("started_ns").type == pyarrow.int64()
        assert b"nano-dollars" in table.schema.field("cost_nusd").metadata[b"about"]

    def test_without_pyarrow_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(NotInstalled, match=r'pip install "playhead\[parquet\]"'):
            write_parquet(io.BytesIO(), [])

    @given(st.lists(st.text(st.characters(), max_size=9), max_size=5))
    def test_holds_any_text(self, texts: list[str]) -> None:
        rows: list[Row] = [{each.name: text for each in FIELDS if each.type == "text"} for text in texts]
        rows = [dict.fromkeys(each.name for each in FIELDS) | row for row in rows]
        written, columns = io.StringIO(newline=""), io.BytesIO()
        assert write_csv(written, [rows]) == write_parquet(columns, [rows]) == len(texts)
        shown = [text.encode("utf-8", "replace").decode() for text in texts]
        cells = [row["name"] for row in read(written.getvalue())]
        assert [cell.removeprefix("'") if cell[1:2] in FORMULA else cell for cell in cells] == shown


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Steps that begin and end when they like, below any earlier one: children that outlive their parents too."""
    steps: list[Step] = []
    for seq in range(draw(st.integers(1, 12))):
        parent = draw(st.sampled_from(steps)).step_id if steps else None
        began = draw(st.integers(0, 20))
        ended = draw(st.none() | st.integers(began, 25))
        steps.append(
            Step(SIX, f"{seq:016x}", parent, seq, "s", "step", f"s[{seq}]", seq, began * 1_000, ended and ended * 1_000)
        )
    return Trace(TraceSummary(SIX, "flow", "completed", 0), None, tuple(steps))


def spans(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(one["ts"], one["ts"] + one["dur"]) for one in events]


class TestATimeline:
    @given(traces())
    def test_has_in_each_lane_only_what_lies_inside_one_another(self, trace: Trace) -> None:
        events = [one for one in chrome.document(trace)["traceEvents"] if one["ph"] == "X"]
        assert [one["args"]["step_id"] for one in events] == [step.step_id for step in trace.steps]
        for lane in {one["tid"] for one in events}:
            inside = spans([one for one in events if one["tid"] == lane])
            for begin, end in inside:
                for other, until in inside:
                    assert (
                        other >= end
                        or until <= begin
                        or (begin <= other and until <= end)
                        or (other <= begin and end <= until)
                    )

    def test_shows_steps_side_by_side_in_lanes_of_their_own_and_those_in_a_row_in_one(self) -> None:
        story = Story("flow")
        one, other = story.begin("a"), story.begin("b")
        story.end(one)
        story.end(other)
        story.step("c")
        assert [event["tid"] for event in self.events(story)] == [0, 0, 1, 0]

    def test_names_the_workflow_and_what_each_step_was(self, store: Store) -> None:
        about, root, call, check = chrome.document(told(store))["traceEvents"]
        assert about["args"] == {"name": "support"}
        assert (root["name"], root["cat"]) == ("support", "workflow")
        assert (call["args"]["model"], call["args"]["input_tokens"]) == ("gpt-4o", 30)
        assert check["args"]["error_message"] == "=HYPERLINK(1)"

    @pytest.fixture(autouse=True)
    def with_a_store(self, store: Store) -> None:
        self.store = store

    def events(self, story: Story) -> list[dict[str, Any]]:
        self.store.apply(story.finish().events, owner="me")
        return [one for one in chrome.document(self.store.trace(story.trace_id))["traceEvents"] if one["ph"] == "X"]
