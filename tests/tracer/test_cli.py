from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tracer
from tests import recording
from tests.recording import Project
from tracer import current, step, workflow
from tracer.cli import main
from tracer.decisions import DECISION, Decision
from tracer.store import open_store

#: Every test here records into a project of its own.
project = recording.project

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2066 \x9b2J \x7f end\ud800"


@step(kind="llm", model="intent-lr")
def classify(text: str) -> str:
    current().set(model="intent-lr-2", usage={"input_tokens": 12, "output_tokens": 3})
    return f"answer to {text}"


@workflow
def support(ticket: str) -> str:
    return classify(ticket)


@workflow
def broken(ticket: str) -> str:
    classify(ticket)
    raise ValueError(f"no refund for {ticket}")


@pytest.fixture
def recorded(project: Project) -> Project:
    support("lost card")
    with pytest.raises(ValueError, match="no refund"):
        broken("late parcel")
    assert tracer.flush()
    return project


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result


def ids() -> list[str]:
    return [row["trace_id"] for row in json.loads(run("ls", "--json").stdout)]


class TestLs:
    def test_without_traces_it_says_what_to_do(self) -> None:
        assert run("ls").output == "No traces yet. Run a function decorated with @workflow.\n"
        assert json.loads(run("ls", "--json").output) == []

    def test_newest_first_with_status_and_reason(self, recorded: Project) -> None:
        _, first, second = run("ls").output.splitlines()
        assert "failed" in first
        assert "broken" in first
        assert "ValueError: no refund for late parcel" in first
        assert "completed" in second
        assert "lost card" in second

    @pytest.mark.parametrize(
        ("words", "workflows"),
        [
            (["--failed"], ["broken"]),
            (["--status", "completed"], ["support"]),
            (["--workflow", "support"], ["support"]),
            (["--model", "intent-lr-2"], ["broken", "support"]),
            (["--model", "other"], []),
            (["--since", "1h"], ["broken", "support"]),
            (["--search", "parcel"], ["broken"]),
            (["--search", "status:failed parcel duration>1us"], ["broken"]),
            (["--search", "status:failed duration>9h"], []),
            (["-n", "1"], ["broken"]),
        ],
    )
    def test_filters(self, recorded: Project, words: list[str], workflows: list[str]) -> None:
        rows = json.loads(run("ls", "--json", *words).stdout)
        assert [row["workflow"] for row in rows] == workflows
        shown = run("ls", *words).output
        assert all(name in shown for name in workflows)
        assert shown.startswith("No ") is not bool(workflows)

    @pytest.mark.parametrize("words", [["--status", "fine"], ["--since", "soon"], ["-n", "0"], ["--colour"]])
    def test_wrong_use_is_2_and_one_line(self, recorded: Project, words: list[str]) -> None:
        assert run("ls", *words, code=2).stderr.strip()


class TestShow:
    def test_which_model_returned_what(self, recorded: Project) -> None:
        shown = run("show", "latest").output
        assert "broken" in shown
        assert "classify llm intent-lr-2" in shown
        assert "→ answer to late parcel" in shown
        assert "ValueError: no refund for late parcel" in shown
        assert "test_cli.py:" in shown

    def test_what_a_router_decided_and_why(self, project: Project) -> None:
        decision = Decision("rules", "math", "it asks for a sum")

        @step(kind="router")
        def route() -> None:
            current().set(tags={DECISION: decision.as_tag()})

        project.record(workflow(route, name="flow"))
        assert "math was chosen: it asks for a sum" in run("show", "latest").output

    def test_by_id_and_unique_prefix(self, recorded: Project) -> None:
        for trace_id in ids():
            assert trace_id in run("show", trace_id).output
        assert ids()[1] in run("show", ids()[1][:-4]).output

    def test_a_prefix_of_several_or_of_none_is_2(self, recorded: Project) -> None:
        assert "playhead: several traces begin with 0" in run("show", "0", code=2).stderr
        assert "playhead: no trace begins with ffff" in run("show", "ffff", code=2).stderr
        assert "is no trace" in run("show", "nonsense", code=2).stderr

    def test_latest_of_nothing_is_2(self) -> None:
        result = run("show", "latest", code=2)
        assert (result.stdout, result.stderr.count("\n")) == ("", 1)

    def test_json_holds_values_for_a_program(self, recorded: Project) -> None:
        told = json.loads(run("show", "latest", "--json").stdout)
        called = told["steps"][1]
        assert called["input"]["value"] == {"text": "late parcel"}
        assert called["output"]["value"] == "answer to late parcel"
        assert (called["call"]["model"], called["call"]["usage"]["input_tokens"]) == ("intent-lr-2", 12)
        assert told["steps"][0]["failure"]["message"] == "no refund for late parcel"

    def test_a_value_that_is_gone_hides_nothing_else(self, recorded: Project) -> None:
        with sqlite3.connect(recorded.home / "playhead.db") as connection:
            connection.execute("DELETE FROM payloads")
        connection.close()
        assert "(not readable: the payload" in run("show", "latest").output
        told = json.loads(run("show", "latest", "--json").stdout)
        assert "unreadable" in told["steps"][1]["output"]


class TestHostileText:
    def test_what_a_terminal_would_obey_is_not_printed(self, project: Project) -> None:
        @workflow(name=HOSTILE)
        def flow(text: str) -> Any:
            current().set(model=HOSTILE, tags={HOSTILE: HOSTILE})
            echo(text)
            raise type(HOSTILE.replace("\ud800", ""), (Exception,), {})(text)

        @step(name=f"echo {HOSTILE}")
        def echo(text: str) -> str:
            return text

        project.record(flow, HOSTILE)
        for words in (
            ["ls"],
            ["ls", "--json"],
            ["show", "latest"],
            ["show", "latest", "--json"],
            ["ls", "--workflow", HOSTILE],
        ):
            output = CliRunner().invoke(main, words).output
            assert "red" in output
            assert not set(output) & set("\x1b\x07\x9b\x7f\u202e\u2066\ud800")
        (step_output,) = [
            each["output"]["value"]
            for each in json.loads(run("show", "latest", "--json").stdout)["steps"]
            if each["name"].startswith("echo")
        ]
        assert step_output == HOSTILE

    def test_nor_in_an_error(self) -> None:
        assert "\x1b" not in CliRunner().invoke(main, ["show", "\x1b[31m"]).output


class TestDoctor:
    def test_says_where_and_how_much(self, recorded: Project) -> None:
        told = json.loads(run("doctor", "--json").stdout)
        assert (told["traces"], told["steps"], told["home"]) == (2, 4, str(recorded.home))
        shown = run("doctor").output
        assert "traces                 2" in shown
        assert "journal cap            1.1 GB" in shown
        assert "degraded               none" in shown

    def test_a_wrong_setting_is_2(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_ENABLED", "maybe")
        assert run("doctor", code=2).stderr == "playhead: PLAYHEAD_ENABLED is 'maybe'; it takes 1 or 0\n"


class TestExitCodes:
    COMMANDS = (["ls"], ["show", "latest"], ["recover"], ["doctor"], ["db", "upgrade"])

    @pytest.mark.parametrize("words", COMMANDS)
    def test_a_store_that_can_not_be_reached_is_4(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, words: list[str]
    ) -> None:
        (project.folder / "file").touch()
        for place in (str(project.folder / "file" / "home"), "/proc/playhead"):
            monkeypatch.setenv("PLAYHEAD_HOME", place)
            result = run(*words, code=4)
            assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize("words", COMMANDS)
    def test_a_store_of_a_newer_playhead_is_2_and_untouched(self, recorded: Project, words: list[str]) -> None:
        path = recorded.home / "playhead.db"
        tracer.shutdown()
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        before = path.read_bytes()
        result = run(*words, code=2)
        assert "newer" in result.stderr
        assert path.read_bytes() == before

    @pytest.mark.parametrize("words", COMMANDS)
    def test_a_file_that_is_no_database_is_4(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, words: list[str]
    ) -> None:
        (project.folder / "notes.txt").write_text("not a database, but long enough to be taken for one" * 50)
        monkeypatch.setenv("PLAYHEAD_DATABASE_URL", str(project.folder / "notes.txt"))
        run(*words, code=4)

    def test_upgrade_says_where_the_schema_is(self, project: Project) -> None:
        assert "is at schema" in run("db", "upgrade").output
        with open_store(project.home / "playhead.db") as store:
            assert store.facts().revision in run("db", "upgrade").output

    def test_help_lists_the_commands_of_all_floors(self) -> None:
        shown = run("--help").output
        assert all(name in shown for name in ("ls", "show", "recover", "doctor", "db", "replay", "diff", "ui"))
