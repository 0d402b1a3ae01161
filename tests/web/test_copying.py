"""What one copies of a step runs elsewhere: each text is taken from the page and run in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as some
from playwright.sync_api import Browser

import tracer
from replay import replay, substitute
from tests.builders import Story
from tests.loopback import Loopback
from tests.sources import REPOSITORY
from tests.web.conftest import viewer
from tests.web.html import Node, read
from tests.web.test_browser import browser, serving
from tracer import recorder, workflow
from tracer.model import Entry, Step, Trace, TraceSummary
from tracer.store import open_store
from tracer.wire import HttpRequest
from web import create_app
from web.view.copying import INLINE, NothingToCopy, Place, curl_of, python_of

__all__ = ["browser"]  # the fixture

NASTY = "it's $(touch pwned) `touch pwned` \\ \" $HOME !! \n\t\x1b[31m \x00 \u202e \U0001f600 ü"
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture
def client(recorded: dict[str, Any]) -> Iterator[TestClient]:
    with viewer(create_app(recorded["url"])) as opened:
        yield opened


def panel(client: TestClient, trace_id: str, step: str) -> Node:
    answer = client.get(f"/t/{trace_id}", params={"step": step})
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def copied(client: TestClient, trace_id: str, step: str, form: str) -> str:
    """The text as it stands in the page."""
    (shown,) = panel(client, trace_id, step).all("pre", id=f"as-{form}")
    return "".join(shown._texts()).removesuffix(" ")


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)} | variables
    return subprocess.run(words, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=100)


class TestPython:
    def test_replays_the_trace_for_nothing(self, client, recorded, tmp_path) -> None:
        (tmp_path / "copied.py").write_text(copied(client, recorded["fine"], "desk", "python"))
        done = run(sys.executable, "copied.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        trace_id, output = done.stdout.split()
        assert output == "sent"
        with open_store(recorded["url"]) as store:
            assert store.trace(trace_id).summary.replay_of == recorded["fine"]
            assert {step.origin for step in store.trace(trace_id).steps if step.parent_id} == {"recorded"}

    def test_of_a_step_is_live_from_there_on(self, client, recorded, tmp_path) -> None:
        (tmp_path / "copied.py").write_text(copied(client, recorded["fine"], "desk/draft", "python"))
        done = run(sys.executable, "copied.py", cwd=tmp_path)
        with open_store(recorded["url"]) as store:
            origins = {step.name: step.origin for step in store.trace(done.stdout.split()[0]).steps}
        assert origins == {"desk": "live", "classify": "recorded", "draft": "live", "send": "recorded"}

    def test_of_a_replay_makes_the_same_replay(self, client, recorded, tmp_path) -> None:
        made = replay(recorded["fine"], substitute("classify", model="same:another"), budget_usd=0.5)
        assert tracer.flush()
        (tmp_path / "copied.py").write_text(copied(client, made.trace_id, "desk/draft", "python"))
        done = run(sys.executable, "copied.py", cwd=tmp_path)
        with open_store(recorded["url"]) as store:
            assert store.trace(done.stdout.split()[0]).plan == store.trace(made.trace_id).plan

    @given(name=some.text(min_size=1), path=some.text(min_size=1), root=some.booleans())
    def test_holds_what_was_recorded_as_literals_only(self, *, name: str, path: str, root: bool) -> None:
        summary = TraceSummary("0" * 32, name, "completed", 0)
        step = Step("0" * 32, "1" * 16, None if root else "2" * 16, 0, name, "step", path, 0, 0)
        told = ast.parse(python_of(Trace(summary, Entry("m", "f"), ()), step, None))
        assert [type(each).__name__ for each in told.body] == ["Expr", "ImportFrom", "Assign", "Expr"]
        (call,) = [each.value for each in told.body if isinstance(each, ast.Assign)]
        assert isinstance(call, ast.Call)
        constants = [each.value for each in ast.walk(call) if isinstance(each, ast.Constant)]
        assert constants == ["0" * 32, *([] if root else [path])]

    def test_names_no_password(self) -> None:
        trace = Trace(TraceSummary("0" * 32, "desk", "completed", 0), Entry("m", "f"), ())
        step = Step("0" * 32, "1" * 16, None, 0, "desk", "workflow", "desk", 0, 0)
        text = python_of(trace, step, Place("postgresql://me:hunter2@box/db", "here"))
        assert "hunter2" not in text
        assert 'os.environ["PLAYHEAD_DATABASE_URL"]' in text

    def test_is_not_offered_where_it_could_not_run(self, tmp_path) -> None:
        with open_store(tmp_path / "some.db") as store:
            told = Story("desk", entry={"module": "m", "qualname": "f.<locals>.desk"})
            store.apply(told.finish().events, owner="me")
            with viewer(create_app(store)) as client:
                (section, _) = panel(client, told.trace_id, "desk").classed("copies")[0].all("section")
        assert section.all("p")[0].text == "desk was defined inside another function: a program can't import it."
        assert section.all("pre") == []


class TestATest:
    def run(self, client: TestClient, trace_id: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
        """Saved and run as the note beside it says."""
        sections = panel(client, trace_id, "desk").classed("copies")[0].all("section")
        (section,) = [each for each in sections if each.attrs["aria-label"] == "As pytest"]
        note = section.all("p")[0]
        file, cassette = (word.strip(",") for word in note.text.split() if word.strip(",").endswith((".py", ".json")))
        place = tmp_path / "copied"
        (place / cassette).parent.mkdir(parents=True)
        (place / file).write_text(copied(client, trace_id, "desk", "test"))
        (place / cassette).write_bytes(client.get(note.all("a")[0].attrs["href"]).content)
        words = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_playhead", "--replay-mode=none", str(place)]
        importable = f"{REPOSITORY}{os.pathsep}{tmp_path}"
        variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": importable}
        return run(*words, f"--rootdir={place}", cwd=place, **variables)

    @pytest.mark.parametrize("which", ["fine", "failed"])
    def test_passes_with_its_cassette(self, client, recorded, tmp_path, which: str) -> None:
        done = self.run(client, recorded[which], tmp_path)
        assert done.returncode == 0, done.stdout
        assert "1 passed" in done.stdout

    def test_fails_when_the_workflow_does_otherwise(self, client, recorded, tmp_path) -> None:
        module: Path = recorded["module"]
        module.write_text(module.read_text().replace('"one"', '"another"'))
        done = self.run(client, recorded["edited"], tmp_path)
        assert "assert 'another' == 'one'" in done.stdout
        assert done.returncode == 1


@workflow
def asking(url: str, body: dict[str, Any]) -> int:
    headers = {"authorization": "Bearer sk-this-is-never-recorded-0123456789", "content-type": "application/json"}
    with httpx2.Client() as opened:
        return opened.post(f"{url}/chat/completions", headers=headers, content=json.dumps(body).encode()).status_code


class TestCurl:
    @pytest.mark.parametrize("length", [1, 20_000], ids=["in the page", "as a file"])
    def test_sends_the_same_request_with_the_key_of_the_environment(self, tmp_path, length: int) -> None:
        url = f"sqlite:///{tmp_path / 'playhead.db'}"
        tracer.configure(database_url=url, home=tmp_path / "home")
        body = {"model": "loopback-1", "messages": [{"role": "user", "content": NASTY * length}]}
        try:
            with Loopback() as server, viewer(create_app(url)) as client:
                assert asking(server.url, body) == 200
                assert tracer.flush()
                trace_id = client.get("/traces.json").json()["traces"][0]["trace_id"]
                (call,) = [one for one in client.get(f"/t/{trace_id}.json").json()["steps"] if one["kind"] == "llm"]
                text = client.get(f"/t/{trace_id}/s/{call['step_id']}/as/curl").text
                if length == 1:
                    assert copied(client, trace_id, call["path"], "curl") == text
                else:
                    assert panel(client, trace_id, call["path"]).all("pre", id="as-curl") == []
                assert "sk-this" not in text
                (tmp_path / "copied.sh").write_text(text)
                done = run("bash", "copied.sh", cwd=tmp_path, API_KEY="of-the-environment")
        finally:
            tracer.shutdown()
            recorder._overrides.clear()
        assert done.returncode == 0, done.stderr
        assert [seen.body for seen in server.seen] == [body, body]
        assert server.seen[1].headers["authorization"] == "Bearer of-the-environment"
        assert server.seen[1].path == server.seen[0].path
        assert not (tmp_path / "pwned").exists()

    @given(body=some.dictionaries(some.text(), JSON, max_size=4))
    def test_holds_the_body_as_one_word(self, body: dict[str, Any]) -> None:
        request = HttpRequest("POST", "https://api.openai.com/v1/chat/completions", (), {**body, "stream": True})
        words = shlex.split(curl_of(request).replace(" \\\n  ", " "))
        assert words[:3] == ["curl", "--no-buffer", request.url]
        assert words[3:5] == ["-H", "authorization: Bearer $OPENAI_API_KEY"]
        assert json.loads(words[6]) == request.body

    @pytest.mark.parametrize(
        ("url", "header"),
        [
            ("https://api.anthropic.com/v1/messages", '"x-api-key: $ANTHROPIC_API_KEY"'),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/g:x",
                '"x-goog-api-key: $GEMINI_API_KEY"',
            ),
            ("https://mine.openai.azure.com/openai/deployments/x", '"api-key: $AZURE_OPENAI_API_KEY"'),
            ("https://api.groq.com/openai/v1/chat/completions", '"authorization: Bearer $GROQ_API_KEY"'),
            ("http://127.0.0.1:8080/v1/chat/completions", '"authorization: Bearer $API_KEY"'),
        ],
        ids=["anthropic", "google", "azure", "groq", "local"],
    )
    def test_knows_where_a_provider_wants_its_key(self, url: str, header: str) -> None:
        assert f"-H {header}" in curl_of(HttpRequest("POST", url, (("anthropic-version", "2023-06-01"),), {"a": 1}))

    @pytest.mark.parametrize(
        "request_",
        [
            HttpRequest("POST", "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/invoke", (), {}),
            HttpRequest("POST", "https://api.openai.com/\x1b]0;x", (), {}),
            HttpRequest("POST", "https://api.openai.com/v1", (), b"\xff"),
            HttpRequest("POST", "https://api.openai.com/v1", (), "\x1b[31m"),
            {"model": "x"},
        ],
        ids=["signed", "unseen in the address", "bytes", "unseen in a text", "a span"],
    )
    def test_is_refused_where_it_would_not_be_what_one_sees(self, request_: Any) -> None:
        with pytest.raises(NothingToCopy):
            curl_of(request_)


class TestCopying:
    def test_takes_two_keys(self, browser: Browser, recorded: dict[str, Any]) -> None:
        with serving(create_app(recorded["url"])) as address:
            context = browser.new_context(base_url=address)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            page = context.new_page()
            page.goto(f"/t/{recorded['fine']}?step=desk")
            shown = page.locator("#as-python")
            assert not shown.is_visible()
            page.keyboard.press("Y")
            page.keyboard.press("Enter")
            page.locator("#copies button", has_text="copied").wait_for()
            assert page.evaluate("navigator.clipboard.readText()") == shown.text_content()
            page.keyboard.press("Y")
            assert not shown.is_visible()
            context.close()

    def test_is_there_without_script(self, browser: Browser, recorded: dict[str, Any]) -> None:
        with serving(create_app(recorded["url"])) as address:
            context = browser.new_context(base_url=address, java_script_enabled=False)
            page = context.new_page()
            page.goto(f"/t/{recorded['fine']}?step=desk")
            page.locator("#copies summary").click()
            assert "replay(" in page.locator("#as-python").inner_text()
            assert page.locator("#copies button:visible").count() == 0
            context.close()

    def test_of_what_is_not_there_is_not_found(self, client, recorded) -> None:
        root = client.get(f"/t/{recorded['fine']}.json").json()["steps"][0]["step_id"]
        assert client.get(f"/t/{recorded['fine']}/s/{root}/as/perl").status_code == 404
        assert client.get(f"/t/{recorded['fine']}/s/none/as/python").status_code == 404
        assert client.get(f"/t/{recorded['fine']}/s/{root}/as/curl").status_code == 422
        assert client.get(f"/t/{recorded['fine']}/s/{root}/as/python").headers["content-type"].startswith("text/plain")

    def test_leaves_the_page_small(self, client, recorded) -> None:
        page = panel(client, recorded["fine"], "desk")
        assert sum(len(shown.text) for shown in page.classed("copies")[0].all("pre")) < 3 * INLINE
