from __future__ import annotations

import pytest

from replay import PlanError, Rule, edit, fail, live, substitute
from replay.plan import Plan, names, parse_rule, within


class TestAPattern:
    @pytest.mark.parametrize(
        ("pattern", "path"),
        [
            ("draft", "support/draft"),
            ("draft", "support/draft[2]"),
            ("draft[2]", "support/draft[2]"),
            ("draft[0]", "support/draft"),
            ("support/draft[0]", "support/draft"),
            ("support/draft", "support/draft"),
            ("draft/chat", "support/draft/chat"),
            ("draft[1]/chat", "support/draft[1]/chat"),
            ("dra*", "support/draft[2]"),
            ("draft[*]", "support/draft[2]"),
            ("support/*/chat", "support/draft/chat"),
            ("*/chat", "support/draft/chat"),
            ("d?aft", "support/draft"),
            ("POST *", "support/POST api.shop.com"),
        ],
    )
    def test_names_a_step(self, pattern, path):
        assert names(pattern, path)

    @pytest.mark.parametrize(
        ("pattern", "path"),
        [
            ("draft", "support/redraft"),
            ("draft[0]", "support/draft[1]"),
            ("draft[1]", "support/draft"),
            ("draft[1]", "support/draft[11]"),
            ("support", "support/draft"),
            ("raft/chat", "support/draft/chat"),
            ("draft[12]", "support/draft1"),
            ("Draft", "support/draft"),
        ],
    )
    def test_or_does_not(self, pattern, path):
        assert not names(pattern, path)

    def test_holds_what_lies_in_a_step_it_names(self):
        assert within("draft", "support/draft[1]/ask/chat")
        assert not within("draft", "support/send")


class TestAPlan:
    def test_of_several_rules_about_a_step_the_last_wins(self):
        plan = Plan((edit("draft", 1), edit("dra*", 2), live("draft")))
        assert plan.rule("edit", "support/draft").value == 2
        assert plan.rule("fail", "support/draft") is None

    def test_describes_itself_in_the_words_of_the_command_line(self):
        plan = Plan(
            (substitute("draft", model="m"), edit("a", {"b": 1}), fail("c", "timeout"), live("d")),
            "live",
            500_000_000,
            True,
        )
        assert plan.described() == {
            "rules": ["--model draft=m", '--edit a={"b": 1}', "--fail c=timeout", "--live d", "--on-divergence live",
                      "--budget-usd 0.5", "--verify"]
        }  # fmt: skip


class TestWordsOfTheCommandLine:
    @pytest.mark.parametrize(
        ("verb", "text", "rule"),
        [
            ("substitute", "draft=gpt-4o-mini", Rule("substitute", "draft", "gpt-4o-mini")),
            ("edit", 'draft={"a": "b=c"}', Rule("edit", "draft", {"a": "b=c"})),
            ("edit", "draft=null", Rule("edit", "draft", None)),
            ("fail", "draft=timeout", Rule("fail", "draft", "timeout")),
            ("live", "draft[1]", Rule("live", "draft[1]")),
            ("stand_in", "send=true", Rule("stand_in", "send", True)),
        ],
    )
    def test_are_read_as_rules(self, verb, text, rule):
        assert parse_rule(verb, text) == rule

    @pytest.mark.parametrize(
        ("verb", "text", "said"),
        [
            ("substitute", "draft", "--model takes STEP=MODEL, not 'draft'"),
            ("substitute", "=gpt", "--model takes STEP=MODEL"),
            ("edit", "draft", "--edit takes STEP=JSON"),
            ("edit", "draft=", "--edit takes STEP=JSON"),
            ("edit", "draft=hello", "a text needs quotes"),
            ("edit", 'draft={"a":', "is not JSON"),
            ("fail", "draft", "--fail takes STEP=FAULT"),
            ("fail", "draft=meteor", "no fault 'meteor'"),
            ("live", " ", "--live takes the name of a step"),
            ("stand_in", "send", "--stand-in takes STEP=JSON"),
        ],
    )
    def test_that_are_malformed_are_refused_with_the_form(self, verb, text, said):
        with pytest.raises(PlanError) as refused:
            parse_rule(verb, text)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
