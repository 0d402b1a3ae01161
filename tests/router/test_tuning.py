"""``tune`` and ``playhead tune``: from cascades as they are recorded to a threshold in the registry."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from random import Random
from typing import Iterator

import httpx
import pytest
from click.testing import CliRunner

import tracer
from replay.answering.inbox import answer, go_on
from replay.backtest.shadow import shadow
from replay.errors import PlanError
from router import (
    Confidence,
    Guess,
    Human,
    RegistryError,
    Target,
    TuningError,
    UnknownRole,
    Waiting,
    cascade,
    tune,
)
from router.registry import Registry
from router.registry.entry import Arm, Role
from router.tuning.applying import apply
from router.tuning.cli import tune_command
from router.tuning.plot import sparkline, svg
from router.tuning.scoring import Given, scored, scorer_of
from router.tuning.shadows import Shadow, drawn, keep, unseen
from tests import recording
from tests.loopback import Loopback, Reply
from tests.recording import Project
from tracer import Price, configure, current, span, step, workflow
from tracer.cli import Commands
from tracer.decisions import DECISION, Decision
from tracer.reading import open_reading

project = recording.project
SHADOWS = "playhead.shadow"


def said(model, question):
    """A model is right where the question says so: of ``7 cheap dear`` both are, of ``7 dear`` only the dear one is."""
    return "right" if model in question.split() else "wrong"


@step(kind="llm")
def chat(model, question):
    current().set(model=model, usage={"input_tokens": 1, "output_tokens": 1})
    return said(model, question)


class Wire:
    """A provider to ask instead, where there is one: only what is asked there can be asked of another model."""

    server: Loopback | None = None


def over_the_wire(server, model, question):
    server.next(Reply(words=(said(model, question),)))
    messages = [{"role": "user", "content": question}]
    answer = httpx.post(f"{server.url}/chat/completions", json={"model": model, "messages": messages})
    return answer.json()["choices"][0]["message"]["content"]


def asked(model, question):
    with span(model, kind="attempt") as attempt:
        answers = chat if Wire.server is None else partial(over_the_wire, Wire.server)
        attempt.output = answers(model, question)
        return attempt.output


@workflow
def solve(question, confidence, explore=0.0, accept=0.6):
    with span("cascade", kind="router") as decided:
        answer = asked("cheap", question)
        is_sure = confidence >= accept
        explores = is_sure and tracer.random() < explore
        if explores or not is_sure:
            dear = asked("dear", question)
            answer = answer if is_sure else dear
        decision = Decision(
            "cascade",
            candidates=("cheap", "dear"),
            confidence=confidence,
            thresholds={"accept": accept},
            propensity=(explore if explores else 1 - explore) if is_sure else 1.0,
        )
        decided.set(tags={DECISION: decision.as_tag()})
    current().score("truth", "right")
    return answer


def question_of(trace_id):
    with open_reading() as store:
        root = store.trace(trace_id).root
        return store.value(root.input)["question"]


def is_right(given: Given) -> bool:
    return bool(given.answer == "right")


def questions(number):
    """Question and confidence: the dear one is right four times of five, the cheap one as often as it is confident."""
    chance = Random(4)
    for n in range(number):
        confidence = round(chance.random(), 3)
        right = [name for name, p in (("cheap", confidence), ("dear", 0.8)) if chance.random() < p]
        yield " ".join([str(n), *right]), confidence


@pytest.fixture
def models(project: Project) -> None:
    dear = Target("dear", price=Price(50, 50), call=lambda asked: said("dear", asked.messages[-1].content))
    configure(models=[Target("cheap", price=Price(1, 1)), dear])


@pytest.fixture
def wire() -> Iterator[None]:
    with Loopback() as server:
        Wire.server = server
        yield
        Wire.server = None


def record(number=60, **how):
    runs = list(questions(number))
    for question, confidence in runs:
        solve(question, confidence, **how)
    tracer.flush()
    return runs


@workflow
def triage(number):
    """A model is as sure as it says, and right from 0.5 upwards; below 0.8 a person is asked."""

    def guess(target):
        if isinstance(target, Human):
            return Guess(target(number), Confidence(1.0, "stated"))
        return Guess("right" if number >= 5 else "wrong", Confidence(number / 10, "classifier"))

    current().score("truth", "right")
    return cascade([Target("model"), Human("What is it?")], guess, confidence=lambda one: one.confidence, accept=0.8)


class TestAPersonAsTheDearOne:
    def record(self):
        for number in range(10):
            try:
                triage(number)
            except Waiting as asked:
                tracer.flush()
                with open_reading() as store:
                    (one,) = store.escalations.of(asked.trace_id)
                    answer(store, one, "right", by="ann")
                go_on(asked.trace_id)

    def test_each_run_counts_once_and_the_label_is_compared_with_what_was_guessed(self, project):
        self.record()
        told = tune("triage", "cascade", scorer="label:truth")
        assert (told.curve.runs, told.is_human) == (10, True)
        assert dict(told.left) == {"it asked a person: what was answered is in the run that went on": 8}
        assert told.curve.cheap_alone.quality.value == pytest.approx(0.5)
        assert told.curve.at(0.5).quality.value == pytest.approx(1.0)

    def test_the_answers_of_people_cost_what_the_caller_says(self, project):
        self.record()
        told = tune("triage", "cascade", scorer="label:truth", human_usd=0.5)
        assert told.curve.cheap_alone.cost.value == 0
        assert told.curve.at(0.5).cost.value == pytest.approx(0.25 * 10**9)
        assert tune("triage", "cascade", scorer="label:truth").curve.at(0.8).cost.value == 0

    def test_what_a_person_was_not_asked_no_replay_fills(self, project):
        self.record()
        command = ["--workflow", "triage", "--step", "cascade", "--scorer", "label:truth"]
        told = CliRunner().invoke(tune_command, command)
        assert "a replay asks nobody" in told.output
        assert "--fill" not in told.output
        refused = CliRunner().invoke(tune_command, [*command, "--fill", "5", "--budget-usd", "1"])
        assert isinstance(refused.exception, TuningError)
        assert "is a person" in str(refused.exception)


@pytest.mark.usefixtures("models")
class TestTune:
    def test_reads_what_a_cascade_recorded(self):
        runs = record()
        told = tune("solve", "cascade", scorer=is_right)
        sure = [question for question, confidence in runs if confidence >= 0.6]
        right = sum("cheap" in question for question, _ in runs)
        assert (told.cheap, told.dear, told.place, told.curve.current) == ("cheap", "dear", "cascade/cheap", (0.6,))
        assert told.curve.cheap_alone.quality.value == pytest.approx(right / len(runs))
        assert told.curve.cheap_alone.cost.value == 2
        assert told.curve.at(0.6).cost.value == pytest.approx(2 + 100 * (len(runs) - len(sure)) / len(runs))
        assert told.curve.gap.runs == len(sure)
        assert not told.curve.dear_alone.identified

    def test_counts_what_was_explored_with_its_probability(self):
        record(400, explore=0.5)
        told = tune("solve", "cascade", scorer=is_right)
        explored = [run for run in told.observed if run.asked and run.confidence >= 0.6]
        assert {run.propensity for run in explored} == {0.5}
        assert told.curve.gap is None
        end = told.curve.dear_alone
        assert end.quality.low <= 0.8 <= end.quality.high
        assert end.effective < 400

    def test_takes_a_label_or_a_recorded_score_or_a_function(self):
        record(10)
        by_function = tune("solve", "cascade", scorer=is_right).curve
        assert tune("solve", "cascade", scorer="label:truth").curve == by_function
        assert tune("solve", "cascade", scorer=f"{__name__}:is_right").curve == by_function
        unscored = tune("solve", "cascade", scorer="nothing").curve
        assert "never scored" in unscored.cheap_alone.why_not

    def test_says_which_traces_show_nothing_and_why(self):
        @workflow(name="solve")
        def older(question):
            return question

        record(5)
        older("no cascade yet")
        told = tune("solve", "cascade", scorer=is_right)
        assert dict(told.left) == {"no step cascade of kind router with a decision": 1}

    def test_of_a_workflow_without_such_decisions_says_so(self):
        record(2)
        with pytest.raises(TuningError, match="2 times: no step other"):
            tune("solve", "other", scorer=is_right)
        with pytest.raises(TuningError, match="look with playhead ls"):
            tune("nobody", "cascade", scorer=is_right)

    def test_a_hopeless_answer_is_no_part_of_it(self):
        @workflow(name="solve")
        def hopeless():
            with span("cascade", kind="router") as decided:
                asked("cheap", "1 cheap")
                bands = {"accept": 0.6, "hopeless": 0.3}
                told = Decision("cascade", candidates=("cheap", "dear"), confidence=0.1, thresholds=bands)
                decided.set(tags={DECISION: told.as_tag()})

        record(3)
        hopeless()
        assert dict(tune("solve", "cascade", scorer=is_right).left) == {"hopeless: decided without this threshold": 1}

    def test_answers_may_stand_elsewhere_in_the_trace(self):
        @workflow(name="apart")
        def apart():
            asked("first", "1")
            with span("route", kind="router") as decided:
                told = Decision("confidence", candidates=("a", "b"), confidence=0.2, thresholds={"sure": 0.5})
                decided.set(tags={DECISION: told.as_tag()})
            asked("second", "1 second")

        apart()
        tracer.flush()
        told = tune("apart", "route", scorer=is_right, cheap="first", dear="second")
        assert (told.observed[0].cheap, told.observed[0].dear, told.place) == (0.0, 1.0, "first")

    def test_does_not_take_a_budget_and_a_floor(self):
        with pytest.raises(TuningError, match="or a quality floor"):
            tune("solve", "cascade", scorer=is_right, budget_usd=1, quality_floor=0.5)


class TestAScorer:
    @pytest.mark.parametrize("name", ["no_such_module:f", "json:no_such_function", "json:__name__"])
    def test_that_is_not_there_is_refused_by_name(self, name):
        with pytest.raises(TuningError, match=name):
            scorer_of(name)

    @pytest.mark.parametrize("said", [2, -0.1, "yes", float("nan")])
    def test_that_gives_no_score_is_named_with_the_trace(self, said):
        with pytest.raises(TuningError, match="trace t1"):
            scored(lambda _: said, Given("t1", None, None))

    def test_that_raises_is_named_with_the_trace(self):
        with pytest.raises(TuningError, match=r"raised KeyError.*trace t1"):
            scored(lambda given: given.scores["truth"], Given("t1", None, None))


@pytest.mark.usefixtures("models", "wire")
class TestAShadowReplay:
    def test_of_a_model_that_is_a_function_of_its_own_is_refused(self):
        Wire.server = None
        record(10)
        runs = unseen(tune("solve", "cascade", scorer=is_right).observed)
        with pytest.raises(PlanError, match="asked no other model"):
            shadow(drawn(runs, 2, seed=1), "cascade/cheap", "dear", 1.0)

    def test_fills_the_gap_and_counts_with_the_probability_of_the_draw(self):
        record(120)
        told = tune("solve", "cascade", scorer=is_right)
        runs = unseen(told.observed)
        chosen = drawn(runs, 25, seed=2)
        replays = shadow(chosen, "cascade/cheap", "dear", 1.0)
        with open_reading() as store:
            until_ns = max(run.started_ns for run in told.observed)
            assert keep(store, "solve", "cascade", "one", Shadow(len(runs), until_ns, replays))
            assert not keep(store, "solve", "cascade", "one", Shadow(len(runs), until_ns, replays))
        filled = tune("solve", "cascade", scorer=is_right)
        shown = [run for run in filled.observed if run.asked and run.confidence >= 0.6]
        assert {run.trace_id for run in shown} == set(chosen)
        assert [run.propensity for run in shown] == pytest.approx([25 / len(runs)] * 25)
        assert [run.dear for run in shown] == [float("dear" in question_of(run.trace_id)) for run in shown]
        assert filled.curve.gap is None
        assert filled.curve.dear_alone.quality.low <= 0.8 <= filled.curve.dear_alone.quality.high

    def test_of_a_second_slice_adds_to_the_chance_of_all(self):
        record(40)
        told = tune("solve", "cascade", scorer=is_right)
        runs = unseen(told.observed)
        until_ns = max(run.started_ns for run in told.observed)
        for name in ("one", "two"):
            left = unseen(tune("solve", "cascade", scorer=is_right).observed)
            replays = shadow(drawn(left, 5, seed=1), "cascade/cheap", "dear", 1.0)
            with open_reading() as store:
                keep(store, "solve", "cascade", name, Shadow(len(left), until_ns, replays))
        filled = tune("solve", "cascade", scorer=is_right)
        chances = [run.propensity for run in filled.observed if run.confidence >= 0.6]
        assert chances == pytest.approx([10 / len(runs)] * len(runs))

    def test_draws_each_at_most_once_and_the_same_for_a_seed(self):
        record(20)
        runs = unseen(tune("solve", "cascade", scorer=is_right).observed)
        assert len(set(drawn(runs, 1_000, seed=1))) == len(runs)
        assert drawn(runs, 3, seed=1) == drawn(runs, 3, seed=1)


class TestApplying:
    def test_makes_a_canary_that_differs_in_its_threshold_alone(self):
        with open_reading() as store:
            usual = Arm("cheap", {"accept": 0.6, "top": 3})
            Registry(store).set("answer", production=usual, salt="s")
            change = apply(store, "answer", 0.8, share=5)
            now = Registry(store).role("answer")
        assert now == change.after == Role(usual, Arm("cheap", {"accept": 0.8, "top": 3}), 5, "s")
        assert (change.by, change.because) == ("playhead tune", "accept 0.8 is what the recorded runs recommend")

    def test_refuses_a_role_that_is_not_there_or_has_a_canary(self):
        with open_reading() as store:
            with pytest.raises(UnknownRole, match="answer"):
                apply(store, "answer", 0.8)
            Registry(store).set("answer", production="a", canary="b", share=5)
            with pytest.raises(RegistryError, match="has a canary already"):
                apply(store, "answer", 0.8)


@pytest.mark.usefixtures("models")
class TestAPlot:
    def test_is_a_drawing_of_what_is_known(self):
        record(80)
        told = tune("solve", "cascade", scorer=is_right, quality_floor=0.1)
        drawn_ = svg(told.curve, title="a <b> & c", chosen=told.chosen)
        tree = ET.fromstring(drawn_)
        known = [point for point in told.curve.points if point.identified]
        assert len(tree.findall(".//{*}circle")) == len(known)
        assert "a &lt;b&gt; &amp; c" in drawn_
        assert "recommended" in drawn_

    def test_as_a_line_has_a_mark_for_each_threshold(self):
        record(30)
        told = tune("solve", "cascade", scorer=is_right)
        line = sparkline(told.curve.points)
        assert len(line) == len(told.curve.points)
        assert [mark == "·" for mark in line] == [not point.identified for point in told.curve.points]


@pytest.mark.usefixtures("models")
class TestTheCommand:
    ASK = ("--workflow", "solve", "--step", "cascade", "--scorer", f"{__name__}:is_right")

    def run(self, *words, code=0):
        group = Commands(name="playhead")
        group.add_command(tune_command)
        done = CliRunner().invoke(group, ["tune", *self.ASK, *words])
        assert done.exit_code == code, done.output
        return done

    def test_shows_the_curve_and_the_command_that_would_fill_its_gap(self):
        record()
        shown = self.run().output
        assert re.search(r"0.6 +\d+\.\d% .* in force", shown)
        assert "not identified" in shown
        assert re.search(r"playhead tune --workflow solve --step cascade .*--fill \d+ --budget-usd 0.01", shown)
        assert "--model cascade/cheap=dear" in shown

    def test_gives_json(self):
        record()
        told = json.loads(self.run("--json", "--floor", "0.1").stdout)
        assert told["recommendation"]["accept"] is not None
        assert any(not point["identified"] and point["quality"]["value"] is None for point in told["points"])

    def test_writes_the_plot_and_applies(self, tmp_path):
        record(200)
        with open_reading() as store:
            store.share("role:answer", {"production": "cheap"}, version=0)
        plot = tmp_path / "curve.svg"
        done = self.run("--floor", "0.3", "--plot", str(plot), "--apply", "answer", "--share", "5")
        assert "its canary now, for 5 %" in done.stderr
        assert plot.read_text().startswith("<svg")
        with open_reading() as store:
            assert store.shared("role:answer")["role:answer"].value["share"] == 5

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--apply", "answer"), "give --budget or --floor"),
            (("--floor", "0.99", "--apply", "answer"), "nothing was applied to answer"),
            (("--fill", "3"), "--budget-usd"),
        ],
        ids=["no aim", "nothing to recommend", "no budget"],
    )
    def test_refuses_with_the_way_out(self, words, said):
        record(30)
        assert said in self.run(*words, code=2).output

    @pytest.mark.usefixtures("wire")
    def test_fills(self, monkeypatch):
        from importlib.metadata import EntryPoint

        point = EntryPoint("replay", "replay.backtest.shadow:shadow", SHADOWS)
        # an installed package of an older day does not know the entry point yet
        monkeypatch.setattr("router.tuning.cli.entry_points", lambda **_: [point])
        record(120)
        done = self.run("--fill", "25", "--budget-usd", "1")
        assert re.search(r"replayed 25 of \d+ unseen runs with dear", done.stderr)
        assert "never seen" not in done.stdout


class TestTheFile:
    def test_names_the_entry_point_that_replays(self):
        declared = Path(__file__).resolve().parents[2].joinpath("pyproject.toml").read_text()
        assert f'[project.entry-points."{SHADOWS}"]\nreplay = "replay.backtest.shadow:shadow"' in declared
