"""What a dry run says is what a replay does."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from replay import PlanError, edit, fail, from_step, live, replay, stand_in
from replay.plan import Plan
from replay.preview import preview
from replay.record import Record
from tests.replay.support import DONE, Recorded, done
from tests.replay.test_replay import uses_leaf, uses_plain
from tracer import effect, span, step, workflow
from tracer.store import open_store


@step
def one(value: Any) -> Any:
    DONE.append("one")
    return value


@step
def pair(value: Any) -> Any:
    return [ask(value), ask(value + 1), send(value)]


@step(kind="tool")
def ask(value: Any) -> Any:
    DONE.append("ask")
    return value * 2


@effect
def send(value: Any) -> Any:
    DONE.append("send")
    return "sent"


@workflow
def steps(value: int) -> Any:
    with span("block"):
        first = one(value)
    return [pair(first), ask(7), one(8)]


def told(recorded, plan: Plan) -> dict[str, tuple[str, str]]:
    trace = recorded.trace()
    with open_store(recorded.url) as store:
        return {row.path: (row.word, row.reason) for row in preview(Record(trace, store.payloads), plan)}


class TestADryRun:
    def test_runs_nothing(self, recorded):
        steps(1)
        done()
        before = recorded.trace().trace_id
        assert told(recorded, Plan((live("ask"),)))["steps/ask"] == ("live", "--live ask")
        assert done() == []
        assert recorded.trace().trace_id == before

    def test_names_the_fate_of_every_step_and_why(self, recorded):
        steps(1)
        served_or = "served if its input stays the same, otherwise"
        assert told(recorded, Plan((edit("block/one", 5), live("send")))) == {
            "steps": ("runs", ""),
            "steps/block": ("runs", "the plan reaches into it"),
            "steps/block/one": ("edited", "--edit block/one=5"),
            "steps/pair": ("runs", "the plan reaches into it"),
            "steps/pair/ask": ("unknown", f"{served_or} the replay stops"),
            "steps/pair/ask[1]": ("unknown", f"{served_or} the replay stops"),
            "steps/pair/send": ("live", "--live send"),
            "steps/ask": ("unknown", f"{served_or} the replay stops"),
            "steps/one": ("unknown", f"{served_or} it runs"),
        }

    def test_says_what_can_not_be_restored(self, recorded):
        uses_plain()
        assert told(recorded, Plan())["uses_plain/makes_plain"][0] == "runs"
        uses_leaf()
        word, reason = told(recorded, Plan())["uses_leaf/makes_leaf"]
        assert word == "stops"
        assert "$.client" in reason


RULES = st.sampled_from(
    [edit("one[0]", 1), edit("pair/ask", 2), edit("ask", 4), fail("ask[1]", "timeout"), live("pair"), live("send"),
     live("ask"), from_step("pair"), from_step("steps/ask"), stand_in("send", "kept"), live("one")]
)  # fmt: skip
HOW = {"recorded": "served", "edited": "edited", "injected": "fails", "stood-in": "stood in"}


class TestItAgreesWithTheReplay:
    @settings(max_examples=40, deadline=None, database=None)
    @given(rules=st.lists(RULES, max_size=3), verify=st.booleans(), on_divergence=st.sampled_from(["stop", "live"]))
    def test_about_every_step_that_it_knew(self, tmp_path_factory, rules, verify, on_divergence):
        recorded = Recorded(tmp_path_factory.getbasetemp() / "preview")
        steps(1)
        trace = recorded.trace()
        fates = told(recorded, Plan(tuple(rules), on_divergence, None, verify))
        done()
        try:
            again = replay(trace.trace_id, *rules, verify=verify, on_divergence=on_divergence)
        except PlanError:
            return
        for found in recorded.trace(again.trace_id).steps:
            word = fates.get(found.path, ("not listed", ""))[0]
            if found.origin == "live":
                assert word in {"runs", "live", "unknown", "stops"}, found.path
            elif word != "unknown":
                above = [fates[path][0] for path in _above(found.path) if path in fates]
                assert word == HOW[found.origin] or (word == "not listed" and above[-1] in {"served", "unknown"}), (
                    found.path
                )
        if again.stopped is None and again.error is None and not any(word == "unknown" for word, _ in fates.values()):
            listed = {
                path
                for path, (word, _) in fates.items()
                if word == "live" and path.rsplit("/")[-1][:3] in {"ask", "sen"}
            }
            assert again.live == len(listed)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
