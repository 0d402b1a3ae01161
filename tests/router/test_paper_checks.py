"""A workflow on paper checks itself before it runs: what is wrong, where, and the way out."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Bands, InvalidWorkflow, Workflow
from router.paper.course import Course
from router.paper.ways import MOST_WAYS, ways
from router.paper.wiring import Wiring


class Speed(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


def of(ticket):
    return ticket


def first(ticket):
    return ticket


def second(guess):
    return guess


def never():
    return None


def told(paper, severity="error"):
    return [f"{each.node}: {each.message}" for each in paper.problems() if each.severity == severity]


class TestAnError:
    def test_says_which_node_where_it_was_declared_and_the_way_out(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(second)
        with pytest.raises(InvalidWorkflow) as raised:
            paper.check()
        assert str(raised.value).startswith("the workflow 'support' can't run:\n")
        assert re.search(
            r"test_paper_checks\.py:\d+: second: takes 'guess', which nobody gives\..*inputs=.*gives='guess'.*takes=",
            str(raised.value),
        )

    def test_points_at_the_line_of_the_declaration(self):
        paper = Workflow("support", inputs="ticket")
        node = paper.step(first)
        file, _, number = node.place.rpartition(":")
        line = Path(file).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        assert line.strip() == "node = paper.step(first)"

    def test_comes_before_the_first_run_and_runs_nothing(self):
        done = []
        paper = Workflow("support", inputs="ticket")
        paper.step(lambda ticket: done.append(f"did {ticket}"), name="one")
        paper.step(second)
        with pytest.raises(InvalidWorkflow, match="nobody gives"):
            paper.run(ticket="x")
        assert done == []

    def test_names_what_was_probably_meant(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(first, gives="guess")
        paper.route(lambda guess: guess, {"a": "secnod"}, otherwise=None)
        paper.step(second, after="frist", name="second")
        assert told(paper) == [
            "route: to= names 'secnod', and no step is called that. Did you mean 'second'?",
            "second: after= names 'frist', and no step is called that. Did you mean 'first'?",
        ]

    def test_is_a_value_to_return_that_nobody_gives(self):
        paper = Workflow("support", inputs="ticket", returns="anwser")
        paper.step(first, gives="answer")
        assert told(paper) == ["None: returns= names 'anwser', which no step gives. Did you mean 'answer'?"]

    def test_is_a_circle_with_all_that_stand_in_it(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(first, after="third")
        paper.step(of, name="second", after="first")
        paper.step(of, name="third", after="second")
        paper.step(never, name="behind", after="third")
        (error,) = told(paper)
        assert "a circle: first -> second -> third -> first" in error
        assert "repeat(until=, at_most=)" in error

    def test_is_a_node_that_needs_two_ways_at_once(self):
        paper = Workflow("support", inputs="ticket")
        paper.route(lambda ticket: ticket, {"a": "one", "b": "two"}, otherwise=None)
        paper.step(never, name="one")
        paper.step(never, name="two")
        paper.step(lambda one, two: (one, two), name="both")
        (error,) = told(paper)
        assert error.startswith("both: is never reached: on no way")

    def test_is_a_choice_that_could_not_be_followed(self):
        paper = Workflow("support", inputs="ticket")
        paper.route(lambda ticket: ticket, {"a": "one", "b": "two"}, otherwise=None)
        paper.step(never, name="one", gives="draft")
        paper.step(lambda draft: draft, name="two")
        (error,) = told(paper)
        assert error.startswith("two: route may choose it on a way on which nobody gives 'draft' there")

    def test_is_a_value_that_two_give_at_once(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(first, gives="guess")
        paper.step(of, gives="guess")
        paper.step(second)
        (error,) = told(paper)
        assert error.startswith("second: takes 'guess', which first and of both give at once. Let one come after= the")

    def test_is_not_a_value_that_two_branches_give(self):
        paper = Workflow("support", inputs="ticket")
        paper.route(lambda ticket: ticket, {"a": "one", "b": "two"}, otherwise=None)
        paper.step(never, name="one", gives="guess")
        paper.step(never, name="two", gives="guess")
        paper.step(second)
        assert told(paper) == []

    def test_is_a_second_node_of_the_same_name(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(first)
        with pytest.raises(
            InvalidWorkflow, match=r"there is a first already, declared at .*:\d+: give this one a name="
        ):
            paper.step(first)

    def test_is_a_fallback_that_does_not_say_on_which_errors(self):
        with pytest.raises(InvalidWorkflow, match="fallback= and on= go together"):
            Workflow("support", inputs="ticket").step(first, fallback=of)

    def test_is_a_function_that_can_not_be_called_by_name(self):
        paper = Workflow("support", inputs="ticket")
        with pytest.raises(InvalidWorkflow, match="takes ticket by position only"):
            paper.step(lambda ticket, /: ticket, name="one")
        with pytest.raises(InvalidWorkflow, match="has no parameter tickt; it has ticket"):
            paper.step(first, takes={"tickt": "ticket"})
        with pytest.raises(InvalidWorkflow, match="is a generator"):
            paper.step(lambda ticket: (yield ticket), name="one")

    def test_is_a_question_that_can_not_be_read(self):
        paper = Workflow("support", inputs="ticket")
        with pytest.raises(InvalidWorkflow, match="question"):
            paper.human("What is {ticket?")
        with pytest.raises(InvalidWorkflow, match="braces without a name"):
            paper.human("What is {}?")


class TestARoute:
    @staticmethod
    def paper(by, to, **more):
        paper = Workflow("support", inputs="ticket")
        paper.route(by, dict.fromkeys(to, "first"), **more)
        paper.step(first)
        return paper

    def test_needs_a_branch_for_every_band(self):
        paper = self.paper(lambda ticket: 0.5, ["sure", "unsure"], bands=Bands())
        assert told(paper) == ["route: has no branch for 'hopeless'. Add it to to=, or say otherwise="]

    @pytest.mark.parametrize(
        ("answer", "branches", "missing"),
        [(Literal["a", "b"], ["a"], "'b'"), (bool, [True], "False"), (Speed, [Speed.FAST], "<Speed.SLOW: 'slow'>")],
        ids=["literal", "bool", "enum"],
    )
    def test_needs_a_branch_for_everything_that_its_annotation_names(self, answer, branches, missing):
        def by(ticket):
            return ticket

        by.__annotations__["return"] = answer
        assert told(self.paper(by, branches)) == [
            f"route: has no branch for {missing}. Add it to to=, or say otherwise="
        ]
        assert told(self.paper(by, branches, otherwise=None)) == []

    def test_may_not_have_a_branch_that_is_never_taken(self):
        paper = self.paper(lambda ticket: 0.5, ["sure", "unsure", "hopeles", "hopeless"], bands=Bands())
        assert told(paper) == [
            "route: has a branch for 'hopeles', which it never decides for: it gives 'sure', 'unsure', 'hopeless'"
        ]

    def test_of_unknown_answers_is_asked_for_an_otherwise(self):
        assert "otherwise=" in told(self.paper(lambda ticket: ticket, ["a"]), "warning")[0]
        assert told(self.paper(lambda ticket: ticket, ["a"], otherwise=None), "warning") == []


class TestAWarning:
    def test_is_a_model_without_a_fallback_unless_that_is_said(self):
        paper = Workflow("support", inputs="ticket")
        paper.step(first, model="smollm2")
        paper.step(of, model="other", fallback=None)
        assert told(paper, "warning") == [
            "first: asks the model smollm2 and has nothing to fall back on. Give fallback=[...], or say fallback=None"
        ]
        assert paper.check() == paper.problems()

    def test_is_an_input_and_a_value_that_nobody_takes(self):
        paper = Workflow("support", inputs=["ticket", "language"], returns="answer")
        paper.step(first, gives="answer")
        paper.step(of, gives="lost")
        assert told(paper, "warning") == [
            "None: inputs= names 'language', which no step takes",
            "of: gives 'lost', which nobody takes and the workflow does not return",
        ]

    def test_is_a_workflow_of_too_many_ways_to_walk(self):
        paper = Workflow("support", inputs="ticket")
        for number in range(12):
            paper.route(lambda ticket: ticket, {"a": f"s{number}"}, otherwise=None, name=f"r{number}")
            paper.step(of, name=f"s{number}")
        assert told(paper) == []
        assert f"more than {MOST_WAYS:,} ways" in told(paper, "warning")[-1]


@st.composite
def papers(draw):
    """A workflow of steps that stand after earlier ones, some of them chosen by routes."""
    paper = Workflow("any", inputs="ticket")
    names = []
    for number in range(draw(st.integers(1, 9))):
        name = f"n{number}"
        after = draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if names else []
        paper.step(of, name=name, after=after)
        names.append(name)
    return paper, names


class TestAnyWorkflow:
    @given(papers())
    def test_runs_each_node_after_all_that_it_waits_for(self, drawn):
        paper, names = drawn
        wiring = Wiring(paper.nodes, paper.inputs)
        course, ran = Course(wiring, {"ticket": 1}), []
        while ready := course.ready():
            for node in ready:
                assert set(wiring.before[node.name]) <= set(ran)
            for node in ready:
                course.settle(node, None)
                ran.append(node.name)
        assert sorted(ran) == sorted(names)
        assert told(paper) == []

    @given(papers(), st.data())
    def test_is_found_to_have_a_circle_where_one_is_put_in(self, drawn, data):
        paper, names = drawn
        start = data.draw(st.sampled_from(names))
        paper.step(of, name="x", after=[start, "y"])
        paper.step(of, name="y", after="x")
        assert any("a circle" in error for error in told(paper))

    @given(papers(), st.data())
    def test_is_found_to_have_a_node_that_nothing_reaches(self, drawn, data):
        paper, names = drawn
        paper.route(of, {1: "left", 2: "right"}, otherwise=None, after=data.draw(st.sampled_from(names)))
        paper.step(never, name="left")
        paper.step(never, name="right")
        paper.step(lambda left, right: None, name="both")
        assert [error.split(":")[0] for error in told(paper)] == ["both"]

    @given(papers())
    def test_has_one_way_where_nothing_is_decided(self, drawn):
        paper, names = drawn
        (only,) = ways(Wiring(paper.nodes, paper.inputs))
        assert only.ran == set(names)
