from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracer
from tests import recording
from tests.recording import Project
from tracer import recorder, workflow
from tracer.config import database_url_of, from_environment, project_root, shown_url, sqlite_path
from tracer.errors import ConfigError

#: Every test here records into a project of its own.
project = recording.project


class TestEnvironment:
    def test_without_any_all_is_recorded_below_the_project(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "pyproject.toml").touch()
        (tmp_path / "app" / "inner").mkdir()
        monkeypatch.chdir(tmp_path / "app" / "inner")
        config = from_environment({})
        assert config.home == tmp_path / "app" / ".playhead"
        assert sqlite_path(config.database_url) == tmp_path / "app" / ".playhead" / "playhead.db"
        assert (config.enabled, config.capture_content, config.sample, config.strict) == (True, True, 1.0, False)

    def test_each_variable_is_read(self, tmp_path: Path) -> None:
        config = from_environment(
            {
                "PLAYHEAD_HOME": str(tmp_path / "h"),
                "PLAYHEAD_DATABASE_URL": "postgresql://u:p@host/db",
                "PLAYHEAD_ENABLED": "off",
                "PLAYHEAD_CAPTURE_CONTENT": "No",
                "PLAYHEAD_SAMPLE_RATE": " 0.25 ",
                "PLAYHEAD_STRICT": "TRUE",
                "PLAYHEAD_JOURNAL_CAP_MB": "64",
            }
        )
        assert config.journal_cap_bytes == 64 << 20
        assert (config.home, config.database_url) == (tmp_path / "h", "postgresql://u:p@host/db")
        assert (config.enabled, config.capture_content, config.sample, config.strict) == (False, False, 0.25, True)

    def test_an_empty_one_is_none(self) -> None:
        names = ["HOME", "DATABASE_URL", "ENABLED", "CAPTURE_CONTENT", "SAMPLE_RATE", "STRICT", "JOURNAL_CAP_MB"]
        assert from_environment({f"PLAYHEAD_{name}": "" for name in names}) == from_environment({})

    def test_the_home_goes_with_the_database_file(self, tmp_path: Path) -> None:
        config = from_environment({"PLAYHEAD_DATABASE_URL": str(tmp_path / "x" / "mine.db")})
        assert config.home == tmp_path / "x"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("PLAYHEAD_ENABLED", "maybe"),
            ("PLAYHEAD_CAPTURE_CONTENT", "2"),
            ("PLAYHEAD_STRICT", "very"),
            ("PLAYHEAD_SAMPLE_RATE", "half"),
            ("PLAYHEAD_JOURNAL_CAP_MB", "0"),
            ("PLAYHEAD_JOURNAL_CAP_MB", "1 GB"),
            ("PLAYHEAD_SAMPLE_RATE", "1.5"),
            ("PLAYHEAD_SAMPLE_RATE", "nan"),
        ],
    )
    def test_a_wrong_one_is_named_in_one_line(self, name: str, text: str) -> None:
        with pytest.raises(ConfigError, match=f"^{name} is '{text}'; it takes [^\n]+$"):
            from_environment({name: text})


class TestConfigure:
    def test_arguments_win_over_variables_and_stay(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_SAMPLE_RATE", "0.5")
        monkeypatch.setenv("PLAYHEAD_ENABLED", "0")
        tracer.configure(sample=0.75)
        tracer.configure(enabled=True)
        assert (recorder.current_config().sample, recorder.current_config().enabled) == (0.75, True)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"sample": 2},
            {"sample": "half"},
            {"redact": [5]},
            {"redact": [("label", "(")]},
            {"redact": [("only one",)]},
            {"models": {"m": 5}},
            {"models": {"m": "gpt-4o"}},
            {"models": ["gpt-4o"]},
        ],
    )
    def test_a_wrong_value_is_refused_and_changes_nothing(self, wrong: dict[str, Any]) -> None:
        before = recorder.current_config()
        with pytest.raises(ConfigError) as refused:
            tracer.configure(**{"models": {"good": "http://localhost/v1"}, "enabled": False, **wrong})
        assert "\n" not in str(refused.value)
        assert recorder.current_config() == before
        assert list(recorder.catalogue()) == []

    def test_another_store_takes_what_comes_from_then_on(self, project: Project) -> None:
        flow = workflow(name="flow")(lambda x: x)
        flow(1)
        tracer.configure(database_url=str(project.folder / "second.db"))
        flow(2)
        (second,) = project.traces()
        assert project.value(second.root) == 2
        recorder._overrides.clear()
        recorder.shutdown()
        (first,) = project.traces()
        assert project.value(first.root) == 1


class TestPlaces:
    @pytest.mark.parametrize("name", ["plain.db", "with space.db", "what?.db", "100%20.db", "a#b.db", "ü.db"])
    def test_any_file_name_is_the_file_that_is_written(self, project: Project, name: str) -> None:
        path = project.folder / name
        assert sqlite_path(database_url_of(str(path))) == path
        tracer.configure(database_url=str(path))
        project.record(workflow(name="flow")(lambda: 1))
        assert path.is_file()

    def test_options_of_a_url_are_no_part_of_the_path(self) -> None:
        assert sqlite_path("sqlite:////a/b.db?timeout=3") == Path("/a/b.db")
        assert sqlite_path("postgresql://host/db") is None

    def test_a_password_is_not_shown(self) -> None:
        assert shown_url("postgresql://u:secret@host:5/db") == "postgresql://u:***@host:5/db"
        assert shown_url("sqlite:////a/b.db") == "sqlite:////a/b.db"

    def test_a_folder_without_any_mark_is_its_own_project(self, tmp_path: Path) -> None:
        assert project_root(tmp_path) == tmp_path
