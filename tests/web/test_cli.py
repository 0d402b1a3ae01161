from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from web.cli import demo_command, ui_command


class TestUi:
    def test_is_not_shown_to_other_machines_without_a_token(self, monkeypatch) -> None:
        monkeypatch.delenv("PLAYHEAD_TOKEN", raising=False)
        result = CliRunner().invoke(ui_command, ["--host", "0.0.0.0"])
        assert result.exit_code == 2
        assert "set PLAYHEAD_TOKEN" in result.output

    def test_the_environment_chooses_host_and_port(self, monkeypatch) -> None:
        monkeypatch.setenv("PLAYHEAD_HOST", "192.0.2.1")
        monkeypatch.delenv("PLAYHEAD_TOKEN", raising=False)
        assert "192.0.2.1 can be reached" in CliRunner().invoke(ui_command, []).output
        monkeypatch.setenv("PLAYHEAD_PORT", "99999")
        assert CliRunner().invoke(ui_command, ["--host", "127.0.0.1"]).exit_code == 2

    def test_a_port_in_use_is_said_in_one_line(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("PLAYHEAD_HOME", str(tmp_path))
        monkeypatch.setenv("PLAYHEAD_DATABASE_URL", str(tmp_path / "playhead.db"))
        monkeypatch.delenv("PLAYHEAD_TOKEN", raising=False)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = CliRunner().invoke(ui_command, ["--port", str(taken.getsockname()[1])])
        assert result.exit_code == 1
        assert "another program uses it; choose another with --port" in result.output
        assert len(result.output.strip().splitlines()) == 1

    def test_shows_the_traces_until_it_is_ended(self, tmp_path) -> None:
        environment = {**os.environ, "PLAYHEAD_HOME": str(tmp_path), "PLAYHEAD_DATABASE_URL": str(tmp_path / "t.db")}
        command = [sys.executable, "-u", "-c", "from web.cli import ui_command; ui_command()", "--port", "0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            address = running.stdout.readline().split()[1]
            with urllib.request.urlopen(address) as answer:
                assert b"Nothing recorded yet" in answer.read()
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=20) == 0

    def test_ends_at_once_although_a_page_listens_for_news(self, tmp_path) -> None:
        environment = {**os.environ, "PLAYHEAD_HOME": str(tmp_path), "PLAYHEAD_DATABASE_URL": str(tmp_path / "t.db")}
        command = [sys.executable, "-u", "-c", "from web.cli import ui_command; ui_command()", "--port", "0"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as running:
            assert running.stdout is not None
            address = running.stdout.readline().split()[1]
            with urllib.request.urlopen(f"{address}live?after=0-0") as listening:
                assert listening.readline() == b"retry: 3000\n"
                running.send_signal(signal.SIGINT)
                assert running.wait(timeout=20) == 0
            assert running.stderr is not None
            assert running.stderr.read() == ""


class TestDemo:
    @pytest.mark.parametrize("missing", ["openai", "sklearn", "xllamacpp"])
    def test_a_missing_package_is_named_in_one_line(self, monkeypatch, missing: str) -> None:
        class Absent:
            """Makes importing the demo fail as it does where this package is not installed."""

            def find_spec(self, name: str, path=None, target=None):
                if name == "support.demo":
                    raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

        monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "support.demo", raising=False)
        result = CliRunner().invoke(demo_command, [])
        assert result.exit_code == 1
        assert 'pip install "playhead[demo]"' in result.output
        assert len(result.output.strip().splitlines()) == 1
