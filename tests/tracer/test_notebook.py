"""A trace in a notebook: asked for its pictures by IPython, as every notebook does."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

from tests import recording
from tests.web.html import Node, read
from tracer import current, effect, span, step, workflow
from tracer.errors import TraceNotFound
from tracer.model import Trace, TraceSummary
from tracer.notebook import MOST_STEPS, MOST_VALUE, html, trace
from tracer.records import Failure, Step

#: Every test here records into a project of its own.
project = recording.project
#: Everything that a static picture may hold.
TAGS = {"div", "ul", "li", "b", "i", "br", "code", "span", "pre", "details", "summary"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</pre></details>\u202e\x1b[31m\x00"


@step
def draft(text: str) -> str:
    return f"Dear {text}"


@step
def check(text: str) -> str:
    raise ValueError(f"no: {text}")


@effect
def send(text: str) -> str:
    return "sent"


@workflow
def letter(text: str) -> str:
    return send(draft(text))


@workflow
def bad_letter(text: str) -> str:
    return check(draft(text))


@workflow
def many(count: int) -> None:
    for _ in range(count):
        draft("x")


def shown(value: Any) -> tuple[str, Node]:
    """What IPython makes of the last value of a cell: plain text, and HTML that was read."""
    told, _ = DisplayFormatter().format(value)
    assert set(told) == {"text/plain", "text/html"}
    return told["text/plain"], read(told["text/html"])


def is_static(node: Node) -> bool:
    return all(each.tag in {*TAGS, "root"} and set(each.attrs) <= {"style"} for each in node.walk())


class TestATrace:
    def test_shows_itself_as_a_tree_and_in_plain_text(self, project):
        plain, page = shown(project.record(letter, "Mary"))
        assert page.text.startswith("letter completed")
        (root,) = page.children[0].all("ul")[:1]
        assert [item.all("b")[0].text for item in root.all("li")] == ["letter", "draft", "send"]
        assert root.all("ul")[1].all("li")[0].all("b")[0].text == "draft"
        assert "draft step" in plain
        assert "└── ● send" in plain

    def test_says_what_failed_and_where(self, project):
        plain, page = shown(project.record(bad_letter, "Mary"))
        assert "ValueError: no: Dear Mary" in page.text
        assert any("test_notebook.py:" in code.text for code in page.all("code"))
        assert "ValueError: no: Dear Mary" in plain

    def test_holds_nothing_but_its_parts(self, project):
        _, page = shown(project.record(bad_letter, "Mary"))
        assert is_static(page)

    def test_that_is_long_is_cut_and_says_so(self, project):
        plain, page = shown(project.record(many, MOST_STEPS + 7))
        assert len(page.all("li")) == MOST_STEPS
        assert "… and 8 more steps: playhead show " in page.text
        assert plain.splitlines()[-1].startswith("… and 8 more steps: playhead show ")

    def test_that_is_deep_is_a_tree_that_closes(self, project):
        @workflow
        def deep(depth: int) -> None:
            if depth:
                with span("in"):
                    deep_in(depth - 1)

        def deep_in(depth: int) -> None:
            with span("in"):
                if depth:
                    deep_in(depth - 1)

        _, page = shown(project.record(deep, 60))
        assert len(page.all("li")) == 62
        assert len(page.children) == 1

    def test_without_a_step_shows_its_head(self):
        nothing = Trace(TraceSummary("0" * 32, "letter", "running", 0), None, ())
        assert read(html(nothing)).text.startswith("letter running")


class TestATraceWithItsValues:
    def test_opens_to_what_a_step_was_given_and_gave(self, project):
        project.record(letter, "Mary")
        plain, page = shown(trace())
        _, second, _ = page.all("details")
        assert second.all("summary")[0].all("b")[0].text == "draft"
        assert [pre.text for pre in second.all("pre")] == ['{ "text": "Mary" }', "Dear Mary"]
        assert "└── ● send" in plain

    def test_is_named_as_every_command_names_it(self, project):
        recorded = project.record(letter, "Mary")
        assert trace(recorded.trace_id[:14]).trace == recorded
        with pytest.raises(TraceNotFound):
            trace("feed")

    def test_has_what_was_recorded_just_now(self, project):
        letter("Edith")
        assert "Dear Edith" in trace()._repr_html_()

    def test_cuts_a_long_value_and_says_so(self, project):
        project.record(letter, "y" * 10_000)
        _, page = shown(trace())
        texts = [pre.text for pre in page.all("pre")]
        assert all(len(text) < MOST_VALUE + 100 for text in texts)
        assert "more characters)" in texts[0]

    def test_shows_the_others_where_one_is_gone(self, project):
        recorded = project.record(letter, "Mary")
        with sqlite3.connect(project.home / "playhead.db") as database:
            database.execute("PRAGMA foreign_keys = off")
            database.execute(
                "DELETE FROM payloads WHERE hex(digest) LIKE ?", (recorded.steps[1].output.digest[3:] + "%",)
            )
        texts = [pre.text for pre in shown(trace())[1].all("pre")]
        assert any("not readable" in text for text in texts)
        assert '{ "text": "Mary" }' in texts

    def test_says_what_a_hostile_text_says_and_does_nothing_of_it(self, project):
        @workflow(name=HOSTILE, tags={HOSTILE: HOSTILE})
        def hostile(text: str) -> str:
            with span(HOSTILE) as inner:
                current().set(model=HOSTILE, tags={HOSTILE: HOSTILE})
                inner.output = HOSTILE
            raise type(HOSTILE.replace("\x00", ""), (Exception,), {})(text)

        project.record(hostile, HOSTILE)
        plain, page = shown(trace())
        assert is_static(page)
        assert "<script>alert(1)</script>" in page.text
        for told in (plain, page.text):
            assert "\x1b" not in told
            assert "\u202e" not in told


class TestTheHtml:
    @given(st.text(), st.text(), st.text())
    def test_is_static_whatever_was_recorded(self, name, path, message):
        failed = Failure(name, message)
        row = TraceSummary("1" * 32, name, "failed", 1, replay_of=path)
        recorded = Step("1" * 32, "2" * 16, None, 0, name, "step", path, 0, 1, status="failed", failure=failed)
        page = read(html(Trace(row, None, (recorded,), plan={"rules": [message]})))
        assert is_static(page)
        assert len(page.children) == 1
