"""``playhead prune``, ``pin`` and ``unpin``: what the rules take goes, and what has to stay stays."""

from __future__ import annotations

import json
import time
from typing import Iterator

import pytest
from click.testing import CliRunner, Result

from tests import recording
from tests.builders import Story
from tests.recording import Project
from tracer import recorder
from tracer.cli import Failed
from tracer.config import from_environment
from tracer.errors import ConfigError
from tracer.reading import open_reading
from tracer.retention import pruning
from tracer.retention.cli import pin_command, prune_command, unpin_command
from tracer.retention.rules import DAY_NS, Retention
from tracer.store import Store, open_store
from tracer.store.horizon import raised

project = recording.project


def aged(days: float, workflow: str = "support", **fields: object) -> Story:
    return Story(workflow, input=f"{workflow} {days}", at_ns=time.time_ns() - int(days * DAY_NS), **fields)


@pytest.fixture
def filled(project: Project) -> Iterator[Store]:
    with open_reading() as store:
        for story in (aged(40), aged(20), aged(40, "search")):
            store.apply(story.finish().events, owner="me")
        store.apply(aged(41, "bad").finish(error=ValueError("no")).events, owner="me")
        yield store


def run(*words: str) -> Result:
    return CliRunner().invoke(prune_command, words)


def workflows(store: Store) -> list[str]:
    return sorted(row.workflow for row in store.traces())


class TestPrune:
    def test_takes_ordinary_traces_of_an_age(self, filled: Store) -> None:
        ran = run("--older-than", "30d")
        assert ran.exit_code == 0, ran.output
        assert "search: 1 trace, older than 30 days, the oldest of " in ran.output
        assert "2 traces deleted, and 4 stored values" in ran.output or "2 traces deleted, and 2 stored" in ran.output
        assert workflows(filled) == ["bad", "support"]
        assert filled.check().damaged == ()

    def test_takes_all_where_that_is_asked_for(self, filled: Store) -> None:
        assert run("--older-than", "30d", "--all").exit_code == 0
        assert workflows(filled) == ["support"]

    def test_takes_those_of_one_workflow(self, filled: Store) -> None:
        assert run("--older-than", "30d", "--workflow", "sea*").exit_code == 0
        assert workflows(filled) == ["bad", "support", "support"]

    def test_dry_says_the_same_and_changes_nothing(self, filled: Store) -> None:
        before = filled.facts()
        ran = run("--older-than", "30d", "--dry-run")
        assert "2 traces would go" in ran.output
        assert "Nothing was changed." in ran.output
        assert (filled.facts().traces, filled.facts().payloads) == (before.traces, before.payloads)
        told = json.loads(run("--older-than", "30d", "--dry-run", "--json").stdout)
        done = json.loads(run("--older-than", "30d", "--json").stdout)
        assert told["traces"] == done["traces"]
        assert [each["why"] for each in done["traces"]] == ["older than 30 days"] * 2
        for name in ("bodies", "body_size"):
            assert told["collected"][name] == done["collected"][name] > 0
        assert (told["dry_run"], done["dry_run"], done["rules"]) == (True, False, "--older-than")

    def test_follows_the_file_in_the_project(
        self, filled: Store, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project.folder / "pyproject.toml").touch()
        (project.folder / "retention.toml").write_text('[[workflow]]\nname = "search"\nmax_traces = 0\n')
        monkeypatch.chdir(project.folder)
        assert json.loads(run("--json").stdout)["rules"] == "retention.toml"
        assert workflows(filled) == ["bad", "support", "support"]

    def test_follows_a_file_that_is_named(self, filled: Store, project: Project) -> None:
        path = project.folder / "mine.toml"
        path.write_text("days = 30\nfailed_days = 30")
        assert run("--rules", str(path)).exit_code == 0
        assert workflows(filled) == ["support"]

    def test_follows_the_environment(self, filled: Store, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project.folder)
        monkeypatch.setenv("PLAYHEAD_RETENTION_DAYS", "10")
        assert json.loads(run("--json").stdout)["rules"] == "PLAYHEAD_RETENTION_DAYS"
        assert workflows(filled) == []

    def test_without_rules_only_collects(
        self, filled: Store, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(project.folder)
        filled.delete([filled.resolve("latest")])
        before = filled.facts().payloads
        ran = run()
        assert "No rule says which traces may go" in ran.output
        assert len(workflows(filled)) == 3
        assert filled.facts().payloads < before

    def test_keeps_what_is_pinned_running_or_replayed(self, project: Project) -> None:
        with open_reading() as store:
            pinned, origin = aged(400, "pinned").finish(), aged(400, "origin").finish()
            replay = aged(2, "replay", replay_of=origin.trace_id).finish()
            for story in (pinned, origin, replay, aged(400, "gone").finish()):
                store.apply(story.events, owner="me")
            store.upkeep.pin(pinned.trace_id)
            assert run("--older-than", "1d").exit_code == 0
            assert workflows(store) == ["origin", "pinned", "replay"]

    def test_remembers_when_it_was_and_what_went(self, filled: Store) -> None:
        assert pruning.last_prune(filled) is None
        began_ns = time.time_ns()
        run("--older-than", "30d")
        run("--older-than", "30d")
        told = pruning.last_prune(filled)
        assert told is not None
        assert told["at_ns"] > began_ns
        assert told["traces"] == 0

    def test_leaves_the_collecting_to_one_that_began_later(
        self, filled: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tracer.store import collecting

        look = collecting._look

        def meanwhile(*args: object, **kwargs: object) -> None:
            look(*args, **kwargs)  # type: ignore[arg-type]
            raised(filled._engine)

        monkeypatch.setattr(collecting, "_look", meanwhile)
        ran = run("--older-than", "30d")
        assert ran.exit_code == 0
        assert "2 traces deleted; another prune has begun meanwhile" in ran.output

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--all",), "--all needs an age"),
            (("--older-than", "3d", "--rules", "x"), "not both"),
            (("--older-than", "long"), "is no age"),
            (("--rules", "nowhere.toml"), "nowhere.toml can't be read"),
        ],
        ids=["all", "both", "age", "file"],
    )
    def test_refuses_what_can_not_be(self, project: Project, words: tuple[str, ...], said: str) -> None:
        ran = run(*words)
        told = ran.output if isinstance(ran.exception, SystemExit) else str(Failed(ran.exception))  # type: ignore[arg-type]
        assert ran.exit_code != 0
        assert said in told


class TestPin:
    def test_names_what_it_pins_and_lists_it(self, filled: Store) -> None:
        newest = filled.resolve("latest")
        runner = CliRunner()
        assert runner.invoke(pin_command, ["latest"]).output == f"{newest} is pinned\n"
        assert runner.invoke(pin_command, [newest]).output == f"{newest} was pinned already\n"
        assert runner.invoke(pin_command).output == f"{newest}\n"
        assert runner.invoke(unpin_command, ["latest"]).output == f"{newest} is pinned no more\n"
        assert runner.invoke(unpin_command, ["latest"]).output == f"{newest} was not pinned\n"
        assert runner.invoke(pin_command).output == ""


class TestTheSetting:
    @pytest.mark.parametrize("text", ["0", "-3", "soon", "nan"])
    def test_that_would_take_everything_or_says_nothing_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"PLAYHEAD_RETENTION_DAYS is .* it takes a number of at least 1"):
            from_environment({"PLAYHEAD_RETENTION_DAYS": text})

    def test_is_nobodys_where_nobody_says_anything(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project.folder)
        assert pruning.rules_in_force(recorder.current_config()) == (Retention(), "")


class TestSizes:
    def test_go_until_the_rest_fits(self, store_url: str) -> None:
        import random

        chance = random.Random(3)
        with open_store(store_url) as store:
            for days in range(10):
                story = Story(input=chance.randbytes(50_000), at_ns=time.time_ns() - days * DAY_NS)
                store.apply(story.finish().events, owner="me")
            retention = Retention.parse({"max_size": "260 kB"}, place="here")
            done = pruning.prune(store, retention, now_ns=time.time_ns())
            assert len(done.traces) == 5
            assert pruning.prune(store, retention, now_ns=time.time_ns()).traces == ()
            assert store.check().damaged == ()
