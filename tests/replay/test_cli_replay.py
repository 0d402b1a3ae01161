"""``playhead replay`` and ``playhead diff``, as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tracer
from replay import replay
from tests.replay.support import DONE, done
from tracer import FREE, Target, effect, step, workflow
from tracer.cli import main


@step
def plain(value: Any) -> Any:
    DONE.append("plain")
    return value


@step(kind="tool")
def look_up(value: Any) -> Any:
    DONE.append("look_up")
    if value == "bad":
        raise ValueError("no such thing")
    return f"found {value}"


@effect
def send(body: str) -> str:
    DONE.append("send")
    return f"sent {body}"


@workflow
def shop(value: Any) -> Any:
    return send(look_up(plain(value)))


def run(*words: str, **env: str) -> Result:
    return CliRunner().invoke(main, list(words), env=env)


def said(*words: str) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return {**found, "exit": result.exit_code} if isinstance(found, dict) else {"rows": found, "exit": result.exit_code}


@pytest.fixture
def trace(recorded) -> str:
    shop("a")
    done()
    found: str = recorded.trace().trace_id
    return found


class TestReplay:
    def test_unchanged_it_serves_everything_and_ends_with_0(self, trace):
        found = said("replay", trace)
        assert found.pop("trace_id") != trace
        assert found == {
            "replay_of": trace, "outcome": "completed", "output": "sent found a", "error": None, "stopped": None,
            "waiting": None,
            "served": 2, "live": 0, "served_steps": 3, "cost_usd": 0.0, "saved_usd": 0.0, "virtual_s": 0.0,
            "unpriced": [], "divergences": [], "unused_rules": [], "exit": 0,
        }  # fmt: skip
        assert done() == []

    @pytest.mark.parametrize("name", ["latest", "prefix", "PREFIX"])
    def test_a_trace_is_latest_or_the_beginning_of_its_id(self, trace, name):
        assert (
            said("replay", {"prefix": trace[:14], "PREFIX": trace[:14].upper()}.get(name, name))["replay_of"] == trace
        )

    @pytest.mark.parametrize(
        ("words", "output", "happened"),
        [
            (["--edit", 'look_up="b"', "--stand-in", 'send="kept"'], "kept", []),
            (["--edit", 'look_up="b"', "--live", "send"], "sent b", ["send"]),
            (["--live", "look_up"], "sent found a", ["look_up"]),
            (["--from", "look_up"], "sent found a", ["look_up"]),
            (["--edit", 'plain="b"', "--on-divergence", "live", "--stand-in", 'send="kept"'], "kept", ["look_up"]),
            (["--verify"], "sent found a", ["plain"]),
            (["--serve", "plain", "--allow", "plain", "--budget-usd", "0"], "sent found a", []),
            (["--edit", 'plain="x"', "--edit", 'plain="a"'], "sent found a", []),
        ],
    )
    def test_every_option_says_what_it_does(self, trace, words, output, happened):
        found = said("replay", trace, *words)
        assert (found["output"], found["exit"], done()) == (output, 0, happened)

    def test_a_workflow_that_raises_ends_with_1(self, trace):
        found = said("replay", trace, "--fail", "look_up=timeout")
        assert (found["outcome"], found["exit"]) == ("failed", 1)
        assert found["error"] == "TimeoutError: injected: the call timed out"

    def test_one_that_is_stopped_ends_with_3_and_says_where_in_one_line(self, trace):
        found = said("replay", trace, "--edit", 'plain="b"')
        assert (found["outcome"], found["output"], found["exit"]) == ("stopped", None, 3)
        assert found["stopped"].startswith("shop/look_up: input-changed, stopped; first at $.value: 'a' -> 'b'.")
        (divergence,) = found["divergences"]
        assert (divergence["kind"], divergence["then"], divergence["changes"][0]["path"]) == (
            "input-changed",
            "stopped",
            "$.value",
        )
        shown = run("replay", trace, "--edit", 'plain="b"').stdout.splitlines()
        assert shown[0].startswith("■ stopped  shop/look_up: input-changed")
        assert shown[0].endswith("or give a result with --edit")

    def test_another_model_is_named_as_in_the_catalogue(self, trace):
        tracer.configure(models={"parrot": Target("parrot", call=lambda _: "x", price=FREE)})
        found = said("replay", trace, "--model", "look_up=parrot")
        assert (found["exit"], found["unused_rules"]) == (0, ["--model look_up=parrot"])

    def test_what_it_shows_ends_with_the_way_to_compare(self, trace):
        shown = run("replay", trace).stdout
        assert "● completed sent found a" in shown
        assert "2 calls served from the record, 0 calls ran" in shown
        assert shown.splitlines()[-1].startswith(f"compare   playhead diff {trace[:16]} ")

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["nothing-of-the-kind"], "is no trace"),
            (["0123456789abcdef"], "no trace begins with"),
            (["latest", "--model", "plain"], "--model takes STEP=MODEL"),
            (["latest", "--model", "plain=nobody"], "no model named 'nobody'"),
            (["latest", "--edit", "plain=hello"], "a text needs quotes"),
            (["latest", "--edit", "plian=1"], "no step of this trace is named 'plian'"),
            (["latest", "--edit", "shop=1"], "is the workflow itself"),
            (["latest", "--fail", "plain=meteor"], "no fault 'meteor'"),
            (["latest", "--stand-in", "send"], "--stand-in takes STEP=JSON"),
            (["latest", "--live", ""], "--live takes the name of a step"),
            (["latest", "--budget-usd", "nan"], "amount of dollars"),
        ],
    )
    def test_wrong_use_ends_with_2_in_one_line_and_runs_nothing(self, trace, recorded, words, told):
        result = run("replay", *words)
        assert result.exit_code == 2
        assert told in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("playhead: ")
        assert (done(), recorded.trace().trace_id) == ([], trace)

    @pytest.mark.parametrize(
        "words", [["--budget-usd", "-1"], ["--budget-usd", "much"], ["--on-divergence", "maybe"], ["--nope"]]
    )
    def test_so_does_an_option_that_is_none(self, trace, words):
        assert run("replay", trace, *words).exit_code == 2

    def test_a_store_that_is_away_ends_with_4(self, tmp_path):
        tracer.configure(database_url=f"sqlite:////proc/nowhere/{tmp_path.name}.db", home=tmp_path)
        try:
            result = run("replay", "latest")
        finally:
            tracer.configure(database_url=f"sqlite:///{tmp_path}/other.db")
        assert result.exit_code == 4
        assert result.stderr.startswith("playhead: ")


@step
def keep(where: str, value: Any) -> str:
    Path(where).write_text(value)
    return "kept"


@workflow
def keeping(where: str, value: Any) -> str:
    return keep(where, plain(value))


class TestTheGuard:
    @pytest.fixture
    def file(self, recorded, tmp_path) -> Path:
        keeping(str(tmp_path / "kept"), "a")
        tracer.flush()
        return tmp_path / "kept"

    def test_unmarked_code_ends_the_replay_before_it_acts(self, file):
        found = said("replay", "latest", "--edit", 'plain="b"')
        assert (found["outcome"], found["exit"], found["divergences"][0]["kind"]) == ("stopped", 3, "unmarked-effect")
        assert found["stopped"].endswith(
            "Mark the function that does it with @effect, or let it happen with --allow keep"
        )
        assert file.read_text() == "a"

    @pytest.mark.parametrize("words", [["--allow", "keep"], ["--unguarded"]], ids=["allowed", "unguarded"])
    def test_it_acts_where_that_is_wanted(self, file, words):
        found = said("replay", "latest", "--edit", 'plain="b"', *words)
        assert (found["output"], found["exit"], file.read_text()) == ("kept", 0, "b")


class TestDryRun:
    def test_shows_the_tree_and_runs_nothing(self, trace, recorded):
        shown = run("replay", trace, "--dry-run", "--edit", 'look_up="b"')
        assert shown.exit_code == 0
        assert [line.split() for line in shown.stdout.splitlines()][:3] == [
            ["runs", "shop", "(workflow)"],
            ["served", "plain", "(step)"],
            ["edited", "look_up", "(tool)", "--edit", 'look_up="b"'],
        ]
        assert (done(), recorded.trace().trace_id) == ([], trace)

    def test_as_json(self, trace):
        rows = said("replay", trace, "--dry-run")["rows"]
        assert [(row["path"], row["word"]) for row in rows] == [
            ("shop", "runs"), ("shop/plain", "served"), ("shop/look_up", "served"), ("shop/send", "served")
        ]  # fmt: skip

    def test_refuses_what_the_replay_would_refuse(self, trace):
        assert run("replay", trace, "--dry-run", "--live", "plian").exit_code == 2


class TestDiff:
    def test_of_the_same_ends_with_0(self, trace):
        found = said("diff", trace, "latest")
        assert (found["same"], found["first"], found["changed"], found["exit"]) == (True, None, [], 0)
        assert "The two traces are the same." in run("diff", trace, trace[:14]).stdout

    def test_of_what_differs_ends_with_1_and_begins_where_they_part(self, trace):
        again = replay(trace, *[]).trace_id
        edited = said("replay", trace, "--edit", 'look_up="b"', "--stand-in", 'send="kept"')["trace_id"]
        assert said("diff", trace, again)["exit"] == 0
        found = said("diff", trace, edited)
        assert (found["same"], found["exit"], found["first"]["path"]) == (False, 1, "shop/look_up")
        assert found["first"]["outputs"] == [{"path": "$", "before": "found a", "after": "b"}]
        shown = run("diff", trace, edited)
        assert shown.exit_code == 1
        assert shown.stdout.startswith("They part at shop/look_up: its output differs at $.")

    def test_wrong_use_ends_with_2(self, trace):
        assert run("diff", trace, "ffff").exit_code == 2
        assert run("diff", trace).exit_code == 2
