"""``playhead roles``: set, promote, roll back, look, check."""

from __future__ import annotations

import contextlib
import json

import pytest
from click.testing import CliRunner

import tracer
from router import Registry
from router.registry.cli import roles_command
from router.registry.policy import Tally
from router.registry.tally import tallies
from tests import recording
from tests.recording import Project
from tracer import span, workflow
from tracer.cli import Commands
from tracer.decisions import DECISION, Decision
from tracer.store.tagged import Tagged

project = recording.project
PLAYHEAD = Commands(commands={"roles": roles_command})


def run(*words, code=0):
    result = CliRunner().invoke(PLAYHEAD, ["roles", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(params=["store", "file"])
def where(request, project: Project, tmp_path):
    """The words that say where the roles are."""
    return () if request.param == "store" else ("--file", str(tmp_path / "roles.toml"))


class TestRoles:
    def test_without_any_say_how_to_make_one(self):
        assert "playhead roles set ROLE --production MODEL" in run().output
        assert json.loads(run("--json").output) == {}

    def test_are_set_promoted_and_rolled_back_with_one_command_each(self, where):
        assert run("set", "draft", "--production", "a", *where).output == "draft: a\n"
        told = run("set", "draft", "--canary", "b", "--share", "10", "--because", "cheaper", *where).output
        assert told == "draft: a, b for 10 % (was a)\n"
        assert run("promote", "draft", *where).output == "draft: b (was a, b for 10 %)\n"
        assert run("rollback", "draft", "--because", "worse", *where).output == "draft: a (was b)\n"
        assert json.loads(run("--json", *where).output) == {"draft": {"name": "draft", "production": "a"}}
        history = run("history", "draft", *where).output.splitlines()
        assert [line.split("  ")[2] for line in history] == ["rollback", "promote", "set", "set"]
        assert history[0].endswith("rollback  a (was b): worse")
        changes = json.loads(run("history", "draft", "--json", *where).output)
        assert (changes[1]["from"], changes[1]["to"]) == (
            {"production": "a", "canary": "b", "share": 10.0},
            {"production": "b"},
        )

    def test_are_listed_with_arms_and_share(self, where):
        run("set", "draft", "--production", "a", "--canary", "b", "--share", "12.5", *where)
        output = run(*where).output
        for word in ("draft", "a", "b", "12.5 %", "set by"):
            assert word in output

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("promote", "draught"), "no role 'draught'"),
            (("rollback", "draught"), "no role 'draught'"),
            (("history", "draught"), "no role 'draught'"),
            (("check", "draught"), "no role 'draught'"),
            (("set", "sort", "--canary", "b"), "no role 'sort'"),
            (("promote", "draft"), "no canary to promote: a has the role alone"),
            (("rollback", "draft"), "nothing to roll back to"),
            (("check", "draft"), "draft has no canary to check"),
            (("set", "draft", "--canary", "b", "--share", "101"), "from 0 to 100, not 101"),
            (("set", "draft", "--canary", "b", "--share", "-1"), "from 0 to 100, not -1"),
            (("set", "draft", "--canary", "b", "--share", "nan"), "from 0 to 100, not nan"),
            (("set", "draft", "--share", "5"), "without a canary"),
            (("set", "draft"), "nothing to set"),
            (("set", "dra/ft", "--production", "a"), "a role's name"),
            (("set", "draft", "--production", ""), "needs the name of a target"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
    )
    def test_say_what_is_wrong_and_change_nothing(self, where, words, said):
        run("set", "draft", "--production", "a", *where)
        assert said in run(*words, *where, code=2).output
        assert json.loads(run("--json", *where).output) == {"draft": {"name": "draft", "production": "a"}}

    def test_in_a_file_that_is_none_are_refused(self, tmp_path):
        assert "TOML" in run("--file", str(tmp_path / "roles.json"), code=2).output

    def test_in_a_store_that_is_away_end_with_4(self, project: Project):
        project.home.mkdir(parents=True, exist_ok=True)
        tracer.configure(database_url=str(project.folder / "there.db"))
        (project.folder / "there.db").write_bytes(b"no database" * 100)
        assert "there.db" in run(code=4).output


def rollout(roles: Registry, failing: str, times: int):
    """Work of a role, in which one arm's model fails."""

    @workflow
    def work(user):
        if roles.pick("draft", user).target == failing:
            raise ValueError("gibberish")

    for number in range(times):
        with contextlib.suppress(ValueError):
            work(f"user-{number}")
    assert tracer.flush()


class TestACheck:
    @pytest.fixture
    def roles(self, tmp_path):
        made = Registry(tmp_path / "roles.toml")
        made.set("draft", production="a", canary="b", share=50)
        return made

    def test_says_that_a_canary_that_fails_should_go_back_and_takes_it_back_when_told(self, roles, project: Project):
        rollout(roles, "b", 60)
        told = run("check", "draft", "--at-least", "10", "--file", roles.place, code=1)
        assert "rollback: failures: " in told.output
        assert roles.role("draft").canary is not None
        done = json.loads(run("check", "draft", "--at-least", "10", "--apply", "--json", "--file", roles.place).output)
        assert done["verdict"]["action"] == "rollback"
        assert done["arms"]["canary"]["failures"] == done["arms"]["canary"]["n"] > 10
        assert done["arms"]["production"]["failures"] == 0
        last = roles.history("draft")[-1]
        assert (last.by, last.verb, last.because) == ("roles check", "rollback", done["verdict"]["reason"])
        assert roles.role("draft").canary is None

    def test_keeps_one_that_does_as_well(self, roles, project: Project):
        rollout(roles, "neither", 60)
        assert (
            "keep: no rate is surely worse"
            in run("check", "draft", "--at-least", "10", "--apply", "--file", roles.place).output
        )
        assert roles.role("draft").canary is not None

    def test_counts_from_the_last_change_on(self, roles, project: Project):
        rollout(roles, "b", 30)
        roles.set("draft", canary="b", share=40)
        assert "too few outcomes" in run("check", "draft", "--at-least", "5", "--file", roles.place).output


def decided(trace, policy, arm, *, outcome="ok", trace_outcome="ok", **more):
    escalations = more.pop("escalations", 0)
    decision = Decision(policy, role="draft", arm=arm, propensity=0.5, **more)
    return Tagged(trace, "work/x", 0, outcome, trace_outcome, escalations, {DECISION: decision.as_tag()})


class TestATally:
    def test_counts_each_call_of_a_router_and_not_its_pick_again(self):
        rows = [
            decided("1", "registry", "canary"),
            decided("1", "fallback", "canary", outcome="failed", trace_outcome="failed"),
            decided("1", "fallback", "canary", fell_back=True, trace_outcome="failed"),
            decided("2", "registry", "production"),
            decided("2", "fallback", "production", escalations=1),
        ]
        assert tallies(rows, "draft") == {
            "canary": Tally(2, failures=1, fallbacks=1),
            "production": Tally(1, escalations=1),
        }

    def test_counts_a_pick_alone_as_its_run_went_and_what_still_runs_not_at_all(self):
        rows = [
            decided("1", "registry", "canary", trace_outcome="failed"),
            decided("2", "registry", "canary", trace_outcome=None),
            decided("3", "registry", "production"),
        ]
        assert tallies(rows, "draft") == {"canary": Tally(1, failures=1), "production": Tally(1)}

    def test_counts_no_other_role(self):
        assert tallies([decided("1", "registry", "canary")], "sort") == {"canary": Tally(), "production": Tally()}


class TestTaggedSteps:
    def test_are_found_by_the_tag_that_they_have_and_not_by_one_that_they_speak_of(self, project: Project):
        from tracer.reading import open_reading

        @workflow(tags={"early": 1})
        def work():
            with span("late") as late:
                late.set(tags={"late": {"x": 1}})
            with span("speaks") as speaks:
                speaks.set(tags={"other": {"late": 2}})

        work()
        assert tracer.flush()
        with open_reading() as store:
            assert [(each.path, each.tags) for each in store.tagged("late")] == [("work/late", {"late": {"x": 1}})]
            assert [each.path for each in store.tagged("early")] == ["work"]
            assert store.tagged("%") == []
