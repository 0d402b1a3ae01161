"""One trace as a file, and the file as a trace again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import tracer
from replay import diff, replay
from replay.cassette.document import document
from replay.cassette.files import CassetteError, cassette_text, jsonl_text, read, write
from replay.cassette.load import put
from replay.recognised import known_as_kept, recognised
from tests.builders import Story
from tests.loopback import Loopback, Reply
from tests.replay.support import DONE, Recorded, done
from tracer import effect, recorder, span, step, workflow
from tracer.key import store_key
from tracer.player import Call
from tracer.store import open_store

FLOW = """
from tracer import step, workflow

@step
def one(a):
    return a

@workflow
def flow(a):
    return one(a)
"""


@dataclass(frozen=True)
class Order:
    number: int
    items: tuple[str, ...]


@step
def parse(text: str) -> Order:
    DONE.append("parse")
    return Order(len(text), tuple(text.split()))


@step(kind="llm", model="small")
def classify(order: Order) -> str:
    DONE.append("classify")
    tracer.current().set(usage={"input_tokens": 3, "output_tokens": 0}, tags={"tone": "calm"})
    return "billing" if "card" in order.items else "other"


@step(kind="tool")
def look_up(intent: str) -> str:
    DONE.append("look_up")
    if intent == "other":
        raise LookupError("no such department")
    return f"dept. {intent}"


@effect
def send(text: str) -> str:
    DONE.append("send")
    return f"sent {text}"


@step(redact="password", kind="tool")
def log_in(user: str, password: str) -> str:
    DONE.append(("log_in", password))
    return f"{user} is in"


@step(capture="metadata", kind="tool")
def private(text: str) -> str:
    DONE.append("private")
    return text


@workflow(version="7")
def support(text: str) -> str:
    order = parse(text)
    with span("shelf", input=order):
        tracer.current().score("quality", 0.5)
    number = tracer.random()
    return send(f"{look_up(classify(order))} {number}")


@workflow
def failing(text: str) -> str:
    return look_up(classify(parse(text)))


@workflow
def reserved(text: str) -> str:
    return private(text)


@workflow
def many(texts: list[str]) -> list[str]:
    async def one(text: str) -> str:
        await asyncio.sleep(0)
        return look_up(text)

    async def all_of_them() -> list[str]:
        return list(await asyncio.gather(*map(one, texts)))

    return asyncio.run(all_of_them())


@workflow
def chat(url: str) -> str:
    with httpx.Client() as client:
        body = {"model": "loopback-1", "messages": [{"role": "user", "content": "Hello?"}], "stream": True}
        said = client.post(f"{url}/chat/completions", json=body, headers={"authorization": "Bearer sk-123"})
        with client.stream("GET", f"{url}/shelf?key=abc") as other:
            return said.text + str(other.status_code)


def taken_in(recorded: Recorded, path: Path) -> str:
    (source,) = read(path)
    with open_store(recorded.url) as store:
        return put(source, store, store_key(recorded.folder))


class Elsewhere(Recorded):
    """Another store, with another key."""

    def put(self, text: str, folder: Path) -> str:
        path = folder / "some.json"
        path.write_text(text)
        return taken_in(self, path)


def exported(recorded: Recorded, trace: str = "latest", *, timed: bool = False) -> str:
    found = recorded.trace(trace)
    with open_store(recorded.url) as store:
        return (jsonl_text if timed else cassette_text)(document(found, store.payloads, timed=timed))


@pytest.fixture
def elsewhere(recorded, tmp_path):
    """A function that makes another store the one in force."""

    def make() -> Elsewhere:
        return Elsewhere(tmp_path / "elsewhere")

    return make


class TestARoundTrip:
    def test_into_an_empty_store_is_served_whole_and_gives_the_same(self, recorded, elsewhere, tmp_path):
        given = support("my card is lost")
        text = exported(recorded)
        new = elsewhere()
        trace_id = new.put(text, tmp_path)
        done()
        again = replay(trace_id, fn=support)
        assert (again.stopped, again.error, again.output) == (None, None, given)
        assert (again.live, again.divergences) == (0, ())
        assert done() == []

    def test_finds_the_workflow_by_itself(self, recorded, elsewhere, tmp_path, module):
        module(FLOW).flow((1, 2))
        text = exported(recorded)
        trace_id = elsewhere().put(text, tmp_path)
        assert replay(trace_id).output == (1, 2)

    def test_keeps_every_value_and_all_that_is_said_of_a_step(self, recorded, elsewhere, tmp_path):
        support("my card is lost")
        before = recorded.trace()
        text = exported(recorded)
        new = elsewhere()
        after = new.trace(new.put(text, tmp_path))
        with open_store(recorded.url) as one, open_store(new.url) as other:
            assert diff(before, after, lambda ref: (one if one.payloads([ref.digest]) else other).value(ref)).same
        for old, copy in zip(sorted(before.steps, key=_path), sorted(after.steps, key=_path), strict=True):
            for name in ("path", "name", "kind", "occurrence", "effect", "outcome", "input", "output", "fingerprint"):
                assert getattr(old, name) == getattr(copy, name), name
            assert (old.tags, [note.value for note in old.notes]) == (copy.tags, [note.value for note in copy.notes])
            assert (old.call and old.call.usage) == (copy.call and copy.call.usage)
        assert (after.summary.workflow, after.summary.version) == ("support", "7")

    def test_keeps_a_failure_without_its_frames(self, recorded, elsewhere, tmp_path):
        with pytest.raises(LookupError):
            support("nothing")
        text = exported(recorded)
        new = elsewhere()
        after = new.trace(new.put(text, tmp_path))
        assert after.summary.status == "failed"
        assert after.summary.error_message == "no such department"
        assert str(Path(__file__).parent) not in text
        again = replay(after.trace_id, fn=support)
        assert isinstance(again.error, LookupError)
        assert again.live == 0

    def test_of_a_run_that_was_cut_off_is_one_that_was_cut_off(self, recorded, elsewhere, tmp_path):
        story = Story("support", input={"text": "a"})
        story.begin("draft")
        with open_store(recorded.url) as store:
            store.apply(story.events, owner="me")
            text = cassette_text(document(store.trace(story.trace_id), store.payloads))
        new = elsewhere()
        trace_id = new.put(text, tmp_path)
        with open_store(new.url) as store:
            assert store.trace(trace_id).summary.status == "interrupted"

    def test_as_lines_keeps_ids_and_times(self, recorded, elsewhere, tmp_path):
        support("my card is lost")
        before = recorded.trace()
        text = exported(recorded, timed=True)
        new = elsewhere()
        assert new.put(text, tmp_path) == before.trace_id
        after = new.trace(before.trace_id)
        times = [(step.path, step.started_ns, step.ended_ns) for step in before.steps]
        assert [(step.path, step.started_ns, step.ended_ns) for step in after.steps] == times
        assert new.put(text, tmp_path) != before.trace_id

    def test_keeps_model_calls_on_the_wire(self, recorded, elsewhere, tmp_path, server: Loopback):
        server.next(Reply(compressed=True))
        given = chat(server.url)
        text = exported(recorded)
        assert "sk-123" not in text
        trace_id = elsewhere().put(text, tmp_path)
        seen = len(server.seen)
        again = replay(trace_id, fn=chat)
        assert (again.stopped, again.output, again.live) == (None, given, 0)
        assert len(server.seen) == seen

    def test_tells_parents_apart_where_names_look_like_paths(self, recorded, elsewhere, tmp_path):
        story = Story("a")
        one = story.begin("b/c")
        two = story.begin("b", under=story.root)
        for number, parent in enumerate((one, two, two, story.root)):
            inner = story.begin("c[1]", under=parent, input=number)
            story.step("x", under=inner, input=number)
            story.end(inner, number)
        story.end(one, 1)
        story.end(two, 2)
        story.finish()
        with open_store(recorded.url) as store:
            store.apply(story.events, owner="me")
            before = store.trace(story.trace_id)
            text = cassette_text(document(before, store.payloads))
        new = elsewhere()
        after = new.trace(new.put(text, tmp_path))
        assert _tree(after) == _tree(before)


def _path(step: Any) -> str:
    return str(step.path)


def _tree(trace: Any, parent: str | None = None) -> list[Any]:
    below = [step for step in trace.steps if step.parent_id == parent]
    return [(step.name, step.occurrence, step.path, _tree(trace, step.step_id)) for step in below]


class TestWhatWasTakenOut:
    def test_of_the_inputs_is_matched_by_what_was_kept(self, recorded, elsewhere, tmp_path):
        @workflow
        def flow(user: str) -> str:
            return log_in(user, "hunter2")

        flow("ann")
        text = exported(recorded)
        assert "hunter2" not in text
        trace_id = elsewhere().put(text, tmp_path)
        done()
        again = replay(trace_id, fn=flow)
        assert (again.stopped, again.output) == (None, "ann is in")
        assert done() == []

    def test_still_tells_calls_apart_by_the_rest(self, recorded, elsewhere, tmp_path):
        users = ["ann"]

        @workflow
        def flow() -> str:
            return log_in(users[0], "hunter2")

        flow()
        trace_id = elsewhere().put(exported(recorded), tmp_path)
        users[0] = "bob"
        again = replay(trace_id, fn=flow)
        assert again.stopped is not None
        assert again.stopped.divergence.kind == "input-changed"

    def test_is_still_the_call_where_nothing_was_captured(self, recorded, elsewhere, tmp_path):
        reserved("anything")
        text = exported(recorded)
        new = elsewhere()
        (copy,) = (each for each in new.trace(new.put(text, tmp_path)).steps if each.name == "private")
        call = Call("", "", "", "private", "tool", copy.path, 0, b"seen", (), "k1:other", None, kept=None)
        assert recorder.recorder() is not None
        assert recognised(call, known_as_kept([copy])).identity == copy.identity
        assert recognised(replace(call, kept=b"\x01"), known_as_kept([copy])).identity == "k1:other"

    def test_of_a_model_call_is_matched_by_what_was_kept(self, recorded, elsewhere, tmp_path, server):
        @workflow
        def flow() -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": "my key is sk-proj-" + "a1B2" * 12}]}
            return httpx.post(f"{server.url}/chat/completions", json=body).text

        given = flow()
        text = exported(recorded)
        assert "a1B2a1B2" not in text
        trace_id = elsewhere().put(text, tmp_path)
        seen = len(server.seen)
        assert replay(trace_id, fn=flow).output == given
        assert len(server.seen) == seen


class TestAFile:
    def test_is_the_same_for_the_same_run_again(self, recorded):
        texts = []
        for _ in range(2):
            with pytest.raises(LookupError):
                failing("nothing")
            many(["a", "b", "c"])
            texts.append([exported(recorded, each.trace_id) for each in _newest(recorded, 2)])
        assert texts[0] == texts[1]

    def test_is_the_same_for_the_same_answers_over_the_wire(self, recorded, server):
        texts = []
        for compressed in (True, False):
            server.next(Reply(compressed=compressed))
            chat(server.url)
            texts.append(exported(recorded))
        assert texts[0] == texts[1]

    def test_names_no_place_on_the_machine(self, recorded, module):
        module("from tracer import workflow\n@workflow\ndef flow(a):\n    raise ValueError('no')\n")
        import sys

        flow = sys.modules[next(name for name in sys.modules if name.startswith("replayed_"))].flow
        with pytest.raises(ValueError, match="no"):
            flow(1)
        assert str(recorded.folder.parent) not in exported(recorded)

    def test_is_written_only_where_it_changed(self, tmp_path):
        path = tmp_path / "deep" / "a.json"
        assert write(path, "{}\n")
        before = path.stat().st_mtime_ns
        assert not write(path, "{}\n")
        assert path.stat().st_mtime_ns == before
        assert [each.name for each in path.parent.iterdir()] == ["a.json"]

    def test_with_many_traces_gives_each(self, recorded, tmp_path):
        support("my card is lost")
        one = exported(recorded, timed=True)
        many(["a", "b"])
        path = tmp_path / "all.jsonl"
        path.write_text(one + exported(recorded, timed=True))
        assert [source.document["workflow"] for source in read(path)] == ["support", "many"]


def _newest(recorded: Recorded, count: int) -> list[Any]:
    assert tracer.flush()
    with open_store(recorded.url) as store:
        return store.traces(limit=count)


class TestADamagedFile:
    @pytest.fixture
    def refused(self, recorded, tmp_path):
        """Changes the text of a good cassette, and gives the error that it is refused with."""
        support("my card is lost")
        text = exported(recorded)
        path = tmp_path / "bad.json"

        def refuse(change: Any) -> str:
            path.write_text(change(text))
            with pytest.raises(CassetteError) as raised:
                taken_in(recorded, path)
            assert "bad.json" in str(raised.value)
            return str(raised.value)

        return refuse

    def test_is_named_with_its_line(self, refused):
        said = refused(lambda text: text.replace('"kind": "tool",', '"kind": "tool"', 1))
        assert "line" in said
        assert "no JSON" in said

    def test_says_which_step_is_wrong(self, refused):
        said = refused(lambda text: text.replace('"kind": "tool"', '"kind": "hammer"', 1))
        assert "kind is 'hammer'" in said
        assert "line" in said

    def test_says_which_value_is_wrong(self, refused):
        said = refused(lambda text: text.replace("$tuple", "$triple"))
        assert "$triple is no word" in said
        assert "line" in said

    def test_says_what_is_missing(self, refused):
        said = refused(lambda text: text.replace('"path": "support/parse"', '"way": "support/parse"'))
        assert "step 2 has no path" in said

    def test_says_that_a_parent_is_missing(self, refused):
        said = refused(lambda text: text.replace('"path": "support"', '"path": "help"'))
        assert "support/parse has no parent" in said

    @pytest.mark.parametrize("word", ["input_lossy", "failure", "tags", "notes", "effect"])
    def test_says_what_is_of_the_wrong_sort(self, refused, word):
        def change(text: str) -> str:
            said = json.loads(text)
            said["steps"][1][word] = 7
            return json.dumps(said)

        assert f"{word} is 7" in refused(change)

    def test_of_a_newer_playhead_says_so(self, refused):
        said = refused(lambda text: text.replace('"format": 1', '"format": 99'))
        assert "pip install --upgrade" in said

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"playhead": 3}', "hello", '{"steps": 1}\n{}'])
    def test_that_is_no_cassette_says_so(self, refused, text):
        assert refused(lambda _: text)

    def test_that_is_not_there_says_so(self, tmp_path):
        with pytest.raises(CassetteError, match="playhead export"):
            read(tmp_path / "none.json")

    def test_writes_nothing(self, refused, recorded):
        before = len(_newest(recorded, 50))
        refused(lambda text: text.replace("$tuple", "$triple"))
        assert len(_newest(recorded, 50)) == before
