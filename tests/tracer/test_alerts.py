"""Rules over what is recorded: what they may say, what they measure, when they fire. By a clock passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NEW_YEAR_NS, Story
from tracer.alerts.measured import Looking, Reading
from tracer.alerts.rules import Command, Rule, Webhook, read_rules
from tracer.alerts.states import advance, amount, sentence
from tracer.decisions import DECISION, Decision
from tracer.errors import ConfigError
from tracer.store import open_store

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
#: Noon of a day, when all that the stories tell has just ended.
NOON_NS = NEW_YEAR_NS + 12 * HOUR_NS


def rule(measure="failure_rate", above=0.1, **more):
    usual = {"name": "it fails", "resolve_at": above * 0.5, "window_ns": 15 * MINUTE_NS, "at_least": 1}
    return Rule(measure=measure, above=above, **{**usual, **more})


def story(*, ago_ns=MINUTE_NS, took_ns=0, end=True, error=None, workflow="support", **attrs):
    """A run that ended some time before noon."""
    told = Story(workflow, at_ns=NOON_NS - ago_ns - took_ns, **attrs)
    if end:
        told.now_ns += took_ns
        told.finish(**({"error": error} if error else {}))
    return told


def tell(store, *stories):
    for told in stories:
        store.apply(told.events, owner="me")


def read(store, wanted, *, now_ns=NOON_NS):
    return Looking(store, now_ns).readings(wanted)


def priced(nusd):
    return {"price": {"input_nusd": nusd, "output_nusd": 0}}


class TestARuleMeasures:
    def test_how_many_of_the_runs_that_ended_failed(self, store):
        tell(store, story(), story(), story(), story(error=ValueError("no")), story(end=False))
        assert read(store, rule()) == [Reading("", 0.25, 4)]

    def test_only_what_ended_in_its_window(self, store):
        """Also a run that began long before it."""
        old = story(ago_ns=20 * MINUTE_NS, error=ValueError("no"))
        long = story(took_ns=3 * HOUR_NS, error=ValueError("no"))
        tell(store, old, long, story())
        assert read(store, rule()) == [Reading("", 0.5, 2)]

    def test_nothing_where_it_is_of_too_few(self, store):
        tell(store, story(error=ValueError("no")))
        assert read(store, rule(at_least=2)) == [Reading("", None, 1)]
        assert read(store, rule(workflow="other", at_least=0)) == [Reading("", None, 0)]

    def test_no_replays_and_none_that_wait_for_a_human(self, store):
        waits = story(end=False)
        waits.finish(outcome="waiting")
        tell(store, story(), story(error=ValueError("no"), replay_of="ab" * 16), waits)
        assert read(store, rule()) == [Reading("", 0.0, 1)]

    def test_a_run_that_was_killed_as_one_that_failed(self, store_url):
        """When it was killed nobody knows: it is in the window in which it began."""
        with open_store(store_url, alive=lambda owner: owner != "dead") as store:
            tell(store, story(end=False), story())
            store.apply(story(end=False).events, owner="dead")
            store.apply(story(end=False, ago_ns=20 * MINUTE_NS).events, owner="dead")
            assert read(store, rule()) == [Reading("", 0.5, 2)]
            assert read(store, rule("p95", above=2.0))[0].count == 1

    def test_one_workflow_or_each(self, store):
        tell(store, story(), story(error=ValueError("no"), workflow="billing"))
        assert read(store, rule(workflow="support")) == [Reading("", 0.0, 1)]
        assert read(store, rule(by="workflow")) == [Reading("billing", 1.0, 1), Reading("support", 0.0, 1)]

    def test_a_step_by_its_name_its_path_or_each(self, store):
        told = story(end=False)
        draft = told.begin("draft")
        told.step("search", under=draft, error=ValueError("no"))
        told.end(draft)
        told.step("search")
        tell(store, told.finish())
        assert read(store, rule(step="search")) == [Reading("", 0.5, 2)]
        assert read(store, rule(step="draft/search")) == [Reading("", 1.0, 1)]
        assert read(store, rule(by="step")) == [
            Reading("support/draft", 0.0, 1),
            Reading("support/draft/search", 1.0, 1),
            Reading("support/search", 0.0, 1),
        ]

    def test_calls_of_a_model_or_of_each_within_a_step(self, store):
        told = story(end=False)
        draft = told.begin("draft")
        told.call("small", under=draft, error=ValueError("no"))
        told.end(draft)
        told.call("small")
        told.call("large")
        tell(store, told.finish())
        assert read(store, rule(model="small")) == [Reading("", 0.5, 2, 2)]
        assert read(store, rule(model="small", step="draft")) == [Reading("", 1.0, 1, 1)]
        assert read(store, rule(by="model")) == [Reading("large", 0.0, 1, 1), Reading("small", 0.5, 2, 2)]

    def test_how_many_runs_or_decisions_fell_back(self, store):
        told = story(end=False)
        for fell_back in (True, False, False):
            decided = Decision("fallback", chosen="a", fell_back=fell_back).as_tag()
            told.end(told.begin("route", kind="router"), tags={DECISION: decided})
        told.step("draft")
        tell(store, told.finish(), story())
        assert read(store, rule("fallback_rate")) == [Reading("", 0.5, 2)]
        assert read(store, rule("fallback_rate", step="route")) == [Reading("", 1 / 3, 3)]

    def test_how_long_the_slowest_twentieth_takes(self, store):
        tell(store, *(story(took_ns=seconds * SECOND_NS) for seconds in range(1, 21)))
        (found,) = read(store, rule("p95", above=2.0))
        assert found.value == pytest.approx(19, abs=0.001)
        assert found.count == 20

    def test_what_is_spent_in_an_hour_by_runs_that_go_on_and_by_replays(self, store):
        goes_on, replay = story(end=False), story(end=False, replay_of="ab" * 16)
        for told in (goes_on, replay):
            told.call("small", input_tokens=1_000, told=priced(10**6))
        replay.finish()
        tell(store, goes_on, replay)
        assert read(store, rule("cost_per_hour", above=1.0, window_ns=HOUR_NS)) == [Reading("", 2.0, 2)]
        assert read(store, rule("cost_per_hour", above=1.0)) == [Reading("", 8.0, 2)]

    def test_that_a_cost_is_a_floor_where_a_price_is_unknown(self, store):
        told = story(end=False)
        told.call("small", input_tokens=1_000, told=priced(10**6))
        told.call("nobody-knows", input_tokens=5)
        tell(store, told.finish())
        wanted = rule("cost_per_hour", above=1.0, window_ns=HOUR_NS)
        (found,) = read(store, wanted)
        assert found == Reading("", 1.0, 2, 1)
        assert "at least $1.00 of 2 calls" in sentence(wanted, found)

    def test_that_nothing_costs_nothing(self, store):
        assert read(store, rule("budget", above=1.0, at_least=0)) == [Reading("", 0.0, 0)]

    def test_a_budget_from_midnight_on(self, store):
        for hours in (13, 11, 1):
            told = story(ago_ns=hours * HOUR_NS, end=False)
            told.call("small", input_tokens=1_000, told=priced(10**6))
            tell(store, told.finish())
        assert read(store, rule("budget", above=1.0)) == [Reading("", 2.0, 2)]
        assert read(store, rule("budget", above=1.0, by="workflow")) == [Reading("support", 2.0, 2)]


def course(wanted, values, *, every_ns=MINUTE_NS):
    """What is told, minute by minute: + fires, - resolves."""
    firing, told = {}, ""
    for at, value in enumerate(values):
        count = 0 if value is None else 50
        firing, notices = advance(wanted, firing, [Reading("", value, count)], now_ns=at * every_ns)
        told += "".join("+" if each.state == "firing" else "-" for each in notices) or "."
    return told


class TestAnAlert:
    def test_fires_once_and_resolves_once(self):
        assert course(rule(above=0.1), [0.0, 0.2, 0.3, 0.2, 0.0, 0.0]) == ".+..-."

    def test_does_not_fire_at_its_limit(self):
        assert course(rule(above=0.1), [0.1, 0.1]) == ".."

    def test_that_trembles_around_its_limit_is_told_once(self):
        wanted = rule(above=0.1, resolve_at=0.05)
        assert course(wanted, [0.11, 0.09, 0.11, 0.09, 0.06, 0.05, 0.09, 0.11]) == "+....-.+"

    def test_stays_as_it_is_while_there_is_too_little_to_say(self):
        assert course(rule(above=0.1, window_ns=5 * MINUTE_NS), [None, 0.2, None, None, 0.2, 0.0, None]) == ".+...-."

    def test_resolves_when_for_a_whole_window_there_was_too_little_to_say(self):
        assert course(rule(above=0.1, window_ns=3 * MINUTE_NS), [0.2, None, None, None, None, None]) == "+...-."

    def test_of_what_is_seen_no_more_resolves_likewise(self):
        wanted = rule(by="workflow", window_ns=MINUTE_NS)
        firing, _ = advance(wanted, {}, [Reading("billing", 0.5, 50)], now_ns=0)
        assert advance(wanted, firing, [], now_ns=MINUTE_NS) == (firing, [])
        left, (notice,) = advance(wanted, firing, [], now_ns=2 * MINUTE_NS)
        assert (left, notice.state, notice.of, notice.value) == ({}, "resolved", "billing", None)

    def test_of_money_resolves_when_nothing_is_spent_any_more(self):
        wanted = rule("cost_per_hour", above=1.0, by="model")
        firing, _ = advance(wanted, {}, [Reading("small", 2.0, 5)], now_ns=0)
        _, (notice,) = advance(wanted, firing, [], now_ns=1)
        assert (notice.state, notice.value) == ("resolved", 0.0)

    def test_of_each_value_fires_by_itself(self):
        wanted = rule(by="workflow")
        firing, notices = advance(wanted, {}, [Reading("a", 0.5, 9), Reading("b", 0.0, 9)], now_ns=0)
        assert [notice.of for notice in notices] == ["a"]
        _, notices = advance(wanted, firing, [Reading("a", 0.5, 9), Reading("b", 0.9, 9)], now_ns=1)
        assert [notice.of for notice in notices] == ["b"]

    def test_has_an_id_of_its_own_for_each_firing_and_for_its_end(self):
        wanted, seen, firing = rule(), [], {}
        for at, value in enumerate([0.5, 0.0, 0.5, 0.0]):
            firing, notices = advance(wanted, firing, [Reading("", value, 9)], now_ns=at)
            seen += [notice.id for notice in notices]
        assert len(set(seen)) == 4

    def test_says_what_is_wrong_in_a_line(self):
        _, (notice,) = advance(rule(model="small"), {}, [Reading("", 0.25, 40)], now_ns=0)
        assert notice.text == "Firing: it fails: failure rate 25.0 % of 40 calls; fires above 10.0 %"
        assert amount(rule("p95", above=2.0), 2.5) == "2.50 s"

    @given(st.lists(st.none() | st.floats(0, 1), max_size=40))
    def test_fires_and_resolves_in_turn_whatever_happens(self, values):
        told = course(rule(above=0.4, resolve_at=0.3), values).replace(".", "")
        assert told == ("+-" * len(values))[: len(told)]


FAILS = '[[rule]]\nname = "it fails"\nmeasure = "failure_rate"\nabove = 0.05\n'


@pytest.fixture
def rules(tmp_path):
    def written(text, **environ):
        path = tmp_path / "alerts.toml"
        path.write_text(text, encoding="utf-8")
        return read_rules(path, environ)

    return written


class TestAFileOfRules:
    def test_needs_little(self, rules):
        found = rules(FAILS)
        assert found.every_s == 60
        assert found.rules == (Rule("it fails", "failure_rate", 0.05, pytest.approx(0.045), 15 * MINUTE_NS, 10),)

    def test_says_all_that_there_is_to_say(self, rules, tmp_path):
        found = rules(
            'every = "30s"\nwebhook = "$HOOK"\n'
            'headers = { Authorization = "$HOOK_KEY" }\ncommand = ["notify", "--now"]\n'
            '[[rule]]\nname = "slow"\nmeasure = "p95"\nabove = "800ms"\nresolve_at = 0.5\nwindow = "5m"\nat_least = 3\n'
            'workflow = "support"\nstep = "draft"\nmodel = "small"\nby = "step"\n'
            '[[rule]]\nname = "dear"\nmeasure = "budget"\nabove = 20\nwebhook = "http://127.0.0.1:9/other"\n',
            HOOK="https://hooks.example/T0",
            HOOK_KEY="Bearer x",
        )
        slow, dear = found.rules
        assert found.every_s == 30
        assert (slow.above, slow.resolve_at, slow.window_ns, slow.at_least) == (0.8, 0.5, 5 * MINUTE_NS, 3)
        assert (slow.workflow, slow.step, slow.model, slow.by) == ("support", "draft", "small", "step")
        assert slow.to == (
            Webhook("https://hooks.example/T0", (("Authorization", "Bearer x"),)),
            Command(("notify", "--now"), tmp_path.resolve()),
        )
        assert dear.to == (Webhook("http://127.0.0.1:9/other"),)
        assert (dear.at_least, dear.subject) == (0, "calls")

    @pytest.mark.parametrize(
        ("text", "words"),
        {
            "syntax": ("[[rule", "is no TOML"),
            "empty": ("", "there is no rule in it: write [[rule]]"),
            "one": ("[rule]\nname = 'a'", "write [[rule]] above each"),
            "unnamed": ("[[rule]]\nmeasure = 'p95'", "rule 1 has no name"),
            "twice": (FAILS + FAILS, "two rules are named 'it fails'"),
            "misspelt": (FAILS + "windw = '5m'", "rule 'it fails': there is no windw: did you mean window?"),
            "at the top": ("evry = '5m'\n" + FAILS, "there is no evry: did you mean every?"),
            "strange": (FAILS + "zzz = 1", "there is no zzz: it takes name, measure, above"),
            "measure": (FAILS.replace("failure_rate", "errors"), "measure is 'errors'; it is one of failure_rate"),
            "no measure": ("[[rule]]\nname = 'a'", "rule 'a': measure is missing; it is one of"),
            "no limit": ("[[rule]]\nname = 'a'\nmeasure = 'p95'", "above is missing; it takes a length of time"),
            "percent": (FAILS.replace("0.05", "5"), "above is 5; it takes a share from 0 to 1, like 0.05"),
            "all": (FAILS.replace("0.05", "1"), "above is 1; it takes a share from 0 to 1"),
            "bool": (FAILS.replace("0.05", "true"), "above is True; it takes a share"),
            "nan": (FAILS.replace("0.05", "nan"), "above is nan; it takes a share"),
            "soon": ("[[rule]]\nname='a'\nmeasure='p95'\nabove='soon'", "above is 'soon'; it takes a length of time"),
            "money": ("[[rule]]\nname='a'\nmeasure='budget'\nabove='$5'", "above is '$5'; it takes dollars, like 2.5"),
            "upside down": (FAILS + "resolve_at = 0.2", "resolve_at is above 0.05, where it fires"),
            "window": (FAILS + "window = '8d'", "window is '8d'; it takes a time of at most a day"),
            "no time": (FAILS + "window = '0m'", "window is '0m'; it takes a time"),
            "number": (FAILS + "window = 15", "window is 15; it takes a time"),
            "budget": ("[[rule]]\nname='a'\nmeasure='budget'\nabove=5\nwindow='1h'", "a budget is for the day (UTC)"),
            "fallback": (
                "[[rule]]\nname='a'\nmeasure='fallback_rate'\nabove=0.1\nby='model'",
                "fallback_rate has no model",
            ),
            "by": (FAILS + "by = 'arm'", "by is 'arm'; it is one of workflow, step, model"),
            "few": (FAILS + "at_least = -1", "at_least is -1; it takes a whole number"),
            "step": (FAILS + "step = ''", "step is ''; it takes a name"),
            "address": (FAILS + "webhook = 'hooks.example'", "webhook is no address: it takes http:// or https://"),
            "variable": (FAILS + "webhook = '$NOBODY'", "webhook is $NOBODY, and the variable NOBODY is not set"),
            "alone": (FAILS + "headers = { a = 'b' }", "headers are sent to a webhook, and there is none"),
            "command": (FAILS + "command = 'notify --now'", "command is 'notify --now'; it takes a list of words"),
        }.values(),
        ids=range(30),
    )
    def test_that_is_wrong_says_where_and_what_it_takes(self, rules, text, words):
        with pytest.raises(ConfigError) as raised:
            rules(text)
        assert words in str(raised.value)
        assert "alerts.toml" in str(raised.value)

    def test_that_is_not_there_says_where_one_learns_to_write_it(self, tmp_path):
        with pytest.raises(ConfigError, match=r"no such file.*docs/monitoring\.md"):
            read_rules(tmp_path / "nowhere.toml", {})

    def test_shows_of_a_webhook_no_more_than_its_host(self, rules):
        (found,) = rules(FAILS + "webhook = 'https://hooks.example/T0/secret'").rules
        assert found.to[0].shown == "the webhook at hooks.example"
