from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.builders import Story
from tracer.codec import Lossy, Opaque, Yielded
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Failure, Frame, Step, Trace, TraceSummary
from tracer.store import Filter, open_store
from web.view.blame import landing, red_path
from web.view.compare import opened
from web.view.conversation import TURN_LIMIT, answered, asked
from web.view.failure import error_block
from web.view.laid import laid_out
from web.view.listing import row_of
from web.view.narrowing import sentence_of
from web.view.payload import Block, Limits, block, text_block
from web.view.text import clip, one_line, visible
from web.view.waterfall import ticks, unreached, waterfall


def outline(shown: Block) -> list[str]:
    """The lines as one reads them: two spaces a level, key, type in brackets, text, mark."""
    return [
        "  " * line.depth
        + " ".join(
            part
            for part in (line.key, f"[{line.type}]" if line.type else "", line.text, line.mark and f"!{line.mark}")
            if part
        )
        for line in (*shown.head, *shown.rest)
    ]


@dataclass
class Ticket:
    id: int
    credit: Decimal


class TestText:
    def test_hidden_characters_become_marks(self) -> None:
        assert visible("a\x1b[31mb\u202ec\x00\ud800\u200bd\r\ne") == "a⟨ESC⟩[31mb⟨U+202E⟩c⟨NUL⟩⟨U+D800⟩⟨U+200B⟩d\ne"

    def test_what_people_write_stays(self) -> None:
        text = "Größe\t日本語 👩‍👩‍👧 שלום\nنص"
        assert visible(text) == text

    def test_one_line_folds_whitespace_and_says_when_more_was_there(self) -> None:
        assert one_line("a\n  b\tc") == "a b c"
        assert one_line("x" * 300, 10) == "xxxxxxxxx…"
        assert one_line(" " * 900 + "x", 10) == "…"

    def test_clip_tells_how_much_it_took(self) -> None:
        assert clip("abcdef", 4) == ("abcd", 2)
        assert clip("abcd", 4) == ("abcd", 0)


class TestPayload:
    def test_types_are_named_where_the_text_does_not_tell_them(self) -> None:
        value = {
            "ticket": Ticket(7, Decimal("12.50")),
            "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            "pair": (1, "two"),
            "none": None,
            "empty": [],
            "raw": b"\x00\xff",
        }
        assert outline(block(value)) == [
            "ticket [Ticket]",
            "  id 7",
            "  credit [Decimal] 12.50",
            "at [datetime] 2026-01-02 03:04:00+00:00",
            "pair [tuple] of 2",
            "  0 1",
            "  1 two",
            "none None",
            "empty []",
            "raw [bytes, 2 B] 00 ff",
        ]

    def test_a_class_that_is_not_imported_shows_its_parts_under_its_name(self) -> None:
        assert outline(block({"it": Opaque("shop.orders:Order", {"id": 1})})) == ["it [Order]", "  id 1"]

    def test_what_could_not_be_kept_is_marked_at_its_place(self) -> None:
        value = {"client": Lossy("httpx.Client", "<Client>"), "key": "[redacted: openai-key]", "text": "a"}
        shown = outline(block(value, lossy=("$.client", "$.key (redacted)")))
        assert shown == ["client [httpx.Client] <Client> !lossy", "key [redacted: openai-key] !redacted", "text a"]

    def test_a_generator_shows_what_it_gave(self) -> None:
        assert outline(block(Yielded((1, 2), "done"))) == [
            "[generator]",
            "  yielded",
            "    0 1",
            "    1 2",
            "  returned done",
        ]

    def test_strings_keep_their_newlines(self) -> None:
        assert outline(block({"text": "one\ntwo"})) == ["text", "  one", "  two"]
        assert outline(block("one\ntwo")) == ["one", "two"]

    def test_a_long_value_folds_after_twenty_lines(self) -> None:
        shown = block(list(range(50)))
        assert len(shown.head) == 20
        assert len(shown.rest) == 30
        assert not shown.cut
        assert not block(list(range(22))).rest, "a rest of two lines is not worth folding"

    def test_nothing_is_longer_than_its_limits(self) -> None:
        limits = Limits(lines=30, characters=1_000, string=200)
        for value in ("x" * 10**6, ["y" * 10**5] * 100, {str(n): n for n in range(10**5)}, "line\n" * 10**5):
            shown = block(value, limits=limits)
            assert shown.cut
            assert shown.total <= limits.lines + 3
            assert sum(len(line.text) for line in (*shown.head, *shown.rest)) <= limits.characters + limits.string

    def test_what_was_left_out_is_counted(self) -> None:
        assert outline(text_block("x" * 300, limits=Limits(string=200)))[1] == "100 more characters"


class TestConversation:
    def test_long_system_messages_fold_and_others_do_not(self) -> None:
        request = ChatRequest(
            "m", (Message("system", "rule " * 100), Message("user", "word " * 100)), {"temperature": 0}
        )
        view = asked(request)
        assert [turn.folded for turn in view.turns] == [True, False]
        assert view.parameters == (("temperature", "0"),)

    def test_an_answer_in_json_is_laid_out_and_one_that_only_looks_so_stays_text(self) -> None:
        good = answered(ChatAnswer.of('{"intent": "lost"}')).turns[0].body
        bad = answered(ChatAnswer.of("{intent: lost}")).turns[0].body
        assert good is not None
        assert bad is not None
        assert outline(good) == ["intent lost"]
        assert outline(bad) == ["{intent: lost}"]

    def test_tool_calls_show_their_arguments_even_when_they_are_no_json(self) -> None:
        calls = (ToolCall("1", "search", '{"q": 1}'), ToolCall("2", "search", "{q: 1"))
        tools = answered(ChatAnswer(Message("assistant", "", tool_calls=calls))).turns[0].tools
        assert [outline(tool.arguments) for tool in tools] == [["q 1"], ["{q: 1"]]

    def test_an_error_of_the_provider_is_no_turn(self) -> None:
        view = answered(ChatAnswer(Message("assistant", ""), error={"message": "slow down"}))
        assert view.turns == ()
        assert view.error is not None

    def test_of_many_turns_the_last_ones_are_open_and_the_middle_is_folded(self) -> None:
        request = ChatRequest("m", (Message("system", "be kind"), *(Message("user", f"turn {n}") for n in range(20))))
        view = asked(request)
        assert [turn.preview for turn in view.turns] == ["be kind", "turn 17", "turn 18", "turn 19"]
        assert [turn.preview for turn in view.middle] == [f"turn {n}" for n in range(17)]

    def test_of_very_many_turns_the_first_and_the_last_are_kept(self) -> None:
        request = ChatRequest("m", tuple(Message("user", f"turn {n}") for n in range(500)))
        view = asked(request)
        assert len(view.turns) + len(view.middle) == TURN_LIMIT
        assert view.omitted == 500 - TURN_LIMIT
        assert [turn.preview for turn in (view.middle[0], view.middle[1], view.turns[-1])] == [
            "turn 0",
            "turn 1",
            "turn 499",
        ]


OWN = Frame("/app/pipeline.py", 12, "classify", True, ((11, "a"), (12, "b"), (13, "c")))
LIBRARY = Frame("/venv/openai/_client.py", 900, "post", False)


class TestErrorBlock:
    def test_the_last_own_frame_is_shown_and_the_others_fold(self) -> None:
        view = error_block(Failure("ValueError", "no", frames=(LIBRARY, OWN, LIBRARY, LIBRARY)))
        assert view.frame is not None
        assert view.frame.place == "app/pipeline.py:12"
        assert view.frame.source == ((11, "a", False), (12, "b", True), (13, "c", False))
        assert [run.label for run in view.folded] == ["1 library frame before it", "2 library frames after it"]

    def test_without_own_frames_nothing_is_pretended(self) -> None:
        view = error_block(Failure("ValueError", "no", frames=(LIBRARY,), frames_omitted=40))
        assert view.frame is None
        assert view.folded[0].label == "41 library frames before it (40 not kept)"

    def test_causes_and_members_are_tied_by_words(self) -> None:
        cause = Failure("KeyError", "'x'", cause=Failure("OSError", "gone"))
        view = error_block(
            Failure("ExceptionGroup", "two", cause=cause, cause_is_explicit=True, group=(Failure("E", "1"),))
        )
        assert [(one.tie, one.title) for one in view.related] == [
            ("1 of 1 in the group", "E"),
            ("caused by", "KeyError"),
            ("while handling", "OSError"),
        ]

    def test_the_copied_text_reads_like_python_with_the_cause_first(self) -> None:
        text = error_block(Failure("ValueError", "no", frames=(OWN,), cause=Failure("OSError", "gone"))).text
        assert text.index("OSError: gone") < text.index("another exception occurred") < text.index("ValueError: no")
        assert '  File "/app/pipeline.py", line 12, in classify\n    b\n' in text


def trace_of(*steps: Step, status: str = "failed", **summary: object) -> Trace:
    fields = {"trace_id": "t", "workflow": "w", "status": status, "started_ns": 0, "ended_ns": 100, **summary}
    return Trace(TraceSummary(**fields), None, steps)  # type: ignore[arg-type]


def step(
    step_id: str, parent: str | None, *, failure: Failure | None = None, start: int = 0, end: int | None = 100
) -> Step:
    status = "failed" if failure else "completed" if end is not None else "running"
    outcome = "failed" if failure else "ok" if end is not None else None
    return Step(
        "t",
        step_id,
        parent,
        0,
        step_id,
        "step",
        step_id,
        0,
        start,
        end,
        outcome,
        status,
        failure=failure,  # type: ignore[arg-type]
    )


BOOM = Failure("ValueError", "boom")


class TestRedPath:
    def test_goes_down_to_where_the_failure_began(self) -> None:
        trace = trace_of(step("a", None, failure=BOOM), step("b", "a", failure=BOOM), step("c", "b", failure=BOOM))
        assert red_path(trace) == ("a", "b", "c")
        assert landing(trace) == trace.steps[2]

    def test_stops_above_a_failure_that_was_handled(self) -> None:
        trace = trace_of(step("a", None, failure=BOOM), step("b", "a", failure=Failure("TimeoutError", "slow")))
        assert red_path(trace) == ("a",)

    def test_follows_a_failure_that_was_raised_from_another(self) -> None:
        inner = Failure("TimeoutError", "slow")
        outer = Failure("PipelineError", "no answer", cause=inner, cause_is_explicit=True)
        trace = trace_of(step("a", None, failure=outer), step("b", "a", failure=inner))
        assert red_path(trace) == ("a", "b")

    def test_a_completed_trace_has_none_and_opens_on_its_root(self) -> None:
        trace = trace_of(step("a", None), step("b", "a", failure=BOOM), status="completed")
        assert red_path(trace) == ()
        assert landing(trace) == trace.steps[0]

    def test_an_open_trace_opens_on_the_deepest_step_that_runs(self) -> None:
        trace = trace_of(step("a", None, end=None), step("b", "a", end=None), step("c", "b"), status="running")
        assert landing(trace) == trace.steps[1]


class TestWaterfall:
    def test_rails_join_each_step_to_its_parent_and_are_red_on_the_way_to_the_failure(self) -> None:
        trace = trace_of(
            step("a", None, failure=BOOM), step("b", "a"), step("b1", "b"), step("c", "a", failure=BOOM), step("d", "a")
        )
        rows = waterfall(laid_out(trace, now_ns=0)).rows
        assert [(row.step_id, row.rails) for row in rows] == [
            ("a", ""),
            ("b", "Y"),
            ("b1", "Rl"),
            ("c", "T"),
            ("d", "l"),
        ]
        assert [row.failing_leaf for row in rows] == [False, False, False, True, False]

    def test_bars_are_to_scale_and_never_vanish_or_leave_the_picture(self) -> None:
        trace = trace_of(
            step("a", None, end=1_000), step("b", "a", start=500, end=750), step("c", "a", start=1_000, end=1_000)
        )
        bars = [row.bar for row in waterfall(laid_out(trace, now_ns=0)).rows]
        assert (bars[0].x, bars[0].width) == (0, 100)
        assert (bars[1].x, bars[1].width) == (50, 25)
        assert bars[2].width > 0
        assert all(bar.x + bar.width <= 100 for bar in bars)

    def test_a_running_step_reaches_until_now(self) -> None:
        trace = trace_of(step("a", None, end=None), step("b", "a", start=0, end=500), status="running")
        rows = waterfall(laid_out(trace, now_ns=1_000)).rows
        assert rows[0].bar.open
        assert rows[1].bar.width == 50

    def test_a_step_whose_parent_is_missing_is_still_shown(self) -> None:
        assert [
            row.step_id for row in waterfall(laid_out(trace_of(step("a", None), step("x", "lost")), now_ns=0)).rows
        ] == [
            "a",
            "x",
        ]

    def test_a_trace_without_steps_is_an_empty_picture(self) -> None:
        assert waterfall(laid_out(trace_of(), now_ns=0)).rows == ()

    @pytest.mark.parametrize("total", [1, 7, 999, 12_345, 10**6, 3 * 10**9, 10**12, 10**17])
    def test_ticks_are_few_and_round(self, total: int) -> None:
        found = ticks(total)
        assert 1 <= len(found) <= 5
        assert found[0].label == "0"
        assert all(0 <= tick.x < 95 for tick in found)

    def test_what_comes_after_the_last_common_step_was_not_reached(self) -> None:
        whole = trace_of(step("a", None), step("b", "a"), step("c", "a"), step("d", "a"), status="completed")
        short = trace_of(step("a", None, failure=BOOM), step("b", "a", failure=BOOM))
        assert [one.name for one in unreached(short, whole)] == ["c", "d"]
        assert unreached(trace_of(step("a", None), step("other", "a")), whole) == ()


class TestCompare:
    def test_classes_that_are_not_imported_are_compared_by_their_parts(self) -> None:
        ticket = Opaque("shop:Ticket", {"id": 1, "who": Opaque("shop:User", {"name": "Ada"})})
        assert opened({"tickets": [ticket]}) == {"tickets": [{"id": 1, "who": {"name": "Ada"}}]}


class TestListing:
    def row(self, **fields: object):
        summary = {"trace_id": "0" * 32, "workflow": "w", "status": "failed", "started_ns": 0, **fields}
        return row_of(TraceSummary(**summary), Filter(), now_ns=10**9)  # type: ignore[arg-type]

    def test_an_sdk_error_is_worded_as_status_and_the_providers_message(self) -> None:
        for written in (json.dumps, repr):
            message = f"Error code: 429 - {written({'error': {'message': 'Slow down', 'code': 'x'}})}"
            row = self.row(failed_step="draft", error_type="openai.RateLimitError", error_message=message)
            assert [piece.text for piece in row.reason] == ["draft · RateLimitError 429: Slow down"]

    def test_costs_are_free_unknown_or_a_sum_and_never_zero(self) -> None:
        assert self.row(model_calls=0).cost.text == ""
        assert self.row(model_calls=2, input_tokens=5).cost.text == "free"
        assert self.row(model_calls=2, input_tokens=5, unpriced=2).cost.text == "?"
        assert self.row(model_calls=2, cost_nusd=920_000).cost.text == "$0.00092"
        assert self.row(model_calls=2, cost_nusd=920_000, unpriced=1).cost.text == "≥ $0.00092"

    def test_the_sentence_counts_what_it_shows(self) -> None:
        wanted = Filter(statuses=("failed",), workflow="support")
        assert sentence_of(wanted, shown=25, more=False, first=True) == "25 failed traces of support, newest first"
        assert sentence_of(wanted, shown=1, more=False, first=True) == "1 failed trace of support"
        assert sentence_of(wanted, shown=60, more=True, first=True).startswith("The newest 60 failed traces")
        assert sentence_of(wanted, shown=0, more=False, first=True) == "No failed traces of support"


class TestRolledUpCosts:
    def test_parents_show_the_sum_of_their_calls(self, tmp_path) -> None:
        told = Story("w")
        outer = told.begin("outer")
        told.call("gpt-4o-mini", under=outer, input_tokens=1_000, output_tokens=100)
        told.call("gpt-4o-mini", under=outer, input_tokens=1_000, output_tokens=100)
        told.end(outer, "x")
        told.finish()
        with open_store(tmp_path / "costs.db") as store:
            store.apply(told.events, owner="me")
            trace = store.trace(told.trace_id)
        rows = waterfall(laid_out(trace, now_ns=0)).rows
        assert [row.cost.text for row in rows] == ["$0.00042", "$0.00042", "$0.00021", "$0.00021"]
