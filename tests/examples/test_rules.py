"""The example of routing by rules, on real questions: who is chosen, what happens where that one can't, who answers
then."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading

import pytest

import tracer
from replay import fail, replay
from router import Target
from tests.examples.conftest import ROOT
from tests.loopback import Loopback, Reply
from tracer.decisions import decision_in
from tracer.reading import open_reading

EXAMPLE = ROOT / "examples" / "rules"
QUESTIONS = [json.loads(line) for line in (EXAMPLE / "data" / "questions.jsonl").read_text().splitlines()]
LONG = next(one for one in QUESTIONS if one["kind"] == "word problem" and len(one["text"]) > 200)
SUM = "what's 47 times 83"


@pytest.fixture
def example(home, monkeypatch):
    """The pipeline, which another example has one of too, and its calculator."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("pipeline", "calculator"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import pipeline

    tracer.configure(database_url=str(home / "playhead.db"), home=home)
    yield pipeline
    for name in ("pipeline", "calculator"):
        sys.modules.pop(name, None)


@pytest.fixture
def llm(example, monkeypatch):
    """A provider on 127.0.0.1 in the place of the language model, so that it can fail in all ways."""
    with Loopback() as server:
        target = Target("smollm2-135m", base_url=server.url, price=tracer.FREE)
        for name in ("WRITER", "SMOLLM2"):
            monkeypatch.setattr(example, name, target)
        rules = [
            (rule.predicate, target if number == 0 else rule.target, rule.why)
            for number, rule in enumerate(example.RULES.rules)
        ]
        monkeypatch.setattr(example, "RULES", type(example.RULES)(rules, otherwise=example.RULES.otherwise))
        yield server


def trace():
    assert tracer.flush()
    with open_reading() as store:
        return store.trace(store.resolve("latest"))


def decision(name):
    return decision_in(next(step for step in trace().steps if step.name == name).tags)


class TestTheCalculator:
    @pytest.mark.parametrize(
        "one", [one for one in QUESTIONS if one["kind"] == "calculation"], ids=lambda one: one["id"]
    )
    def test_works_out_what_people_really_ask_of_one(self, example, one):
        from calculator import worked_out

        assert worked_out(one["text"]) == pytest.approx(float(one["gold"]), abs=1e-5)

    @pytest.mark.parametrize("text", ["", "how are you", "5 / 0", "square root of -4", LONG["text"][:40]])
    def test_of_anything_else_gives_nothing(self, example, text):
        from calculator import worked_out

        assert worked_out(text) is None

    def test_takes_products_before_sums(self, example):
        from calculator import worked_out

        assert worked_out("2 + 3 * 4 - 10 / 5") == 12


class TestTheRules:
    def test_a_calculation_goes_to_the_calculator_and_the_record_says_why(self, example):
        assert example.route_question("what is 300 divided by 42", "7.142857").by == "calculator"
        found = decision("rules")
        assert (found.policy, found.chosen) == ("rules", "calculator")
        assert found.reason == "a calculation that is written down"
        assert {note.name: note.value for note in trace().root.notes}["right"] is True

    def test_a_short_question_goes_to_the_classifier_and_none_of_the_rules_applied(self, example):
        assert example.route_question("How do I change my PIN?", "change_pin").text == "change_pin"
        assert decision("rules").reason == "no rule applies"

    def test_a_long_one_goes_to_the_language_model(self, example, llm):
        llm.next(Reply(words=(f"So it is so. The answer is {LONG['gold']}.",)))
        answer = example.route_question(LONG["text"], LONG["gold"])
        assert (answer.by, answer.meant_for) == ("smollm2-135m", "smollm2-135m")
        assert example.is_right(answer.text, LONG["gold"])

    def test_what_the_calculator_can_not_do_is_put_to_the_next_one(self, example, llm):
        llm.next(Reply(words=("25",)))
        asked = "how many prime numbers are there between 0 and 100"
        answer = example.route_question(asked, "25")
        assert (answer.meant_for, answer.by) == ("calculator", "smollm2-135m")
        assert decision("answer").fell_back

    def test_a_valid_answer_that_is_wrong_is_scored_as_wrong(self, example, llm):
        llm.next(Reply(words=("The answer is 1000001.",)))
        example.route_question(LONG["text"], LONG["gold"])
        assert {note.name: note.value for note in trace().root.notes}["right"] is False


class TestALanguageModel:
    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(status=429), id="429"),
            pytest.param(Reply(status=429, headers={"retry-after": "60"}), id="429 with Retry-After"),
            pytest.param(Reply(hang_up=True), id="cut"),
        ],
    )
    def test_that_fails_leads_to_the_next_target(self, example, llm, reply):
        llm.next(reply)
        assert example.route_question(LONG["text"]).by == "intent-lr"
        assert decision("answer").fell_back

    def test_that_is_too_late_leads_to_the_next_target(self, example, llm, monkeypatch):
        late = threading.Event()
        llm.next(Reply(before=late))
        monkeypatch.setattr(example, "TIMEOUT_S", 0.3)
        answer = example.route_question(LONG["text"])
        late.set()
        assert answer.by == "intent-lr"

    def test_is_replaced_in_a_replay_in_which_it_fails(self, example, llm):
        llm.next(Reply(words=("7",)))
        example.route_question(LONG["text"])
        done = replay(trace().trace_id, fail("answer/smollm2-135m", "timeout"), on_divergence="live")
        assert (done.output.by, decision("answer").chosen) == ("intent-lr", "intent-lr")
        assert len(llm.seen) == 1


class TestTheRun:
    def test_without_the_language_model_counts_who_got_which_question(self, tmp_path):
        script = EXAMPLE / "run.py"
        code = f"""
import runpy, sys
sys.modules["xllamacpp"] = None
sys.argv = ["run.py", "--questions", "20"]
runpy.run_path({str(script)!r}, run_name="__main__")
"""
        env = os.environ | {"PLAYHEAD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        env.pop("PLAYHEAD_DATABASE_URL", None)
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        kinds = [one["kind"] for one in QUESTIONS[:20]]
        rows = re.findall(r"^(calculation|banking|word problem) .* (\d+) +[\d.]+%", done.stdout, re.MULTILINE)
        for kind in set(kinds):
            assert sum(int(number) for name, number in rows if name == kind) == kinds.count(kind)
        assert "with the calculator failing" in done.stdout
