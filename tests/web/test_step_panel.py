"""What the panel says of a step: decisions, streams, shapes, where a value stands, scores and notes; and the views."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.builders import Story
from tests.web.conftest import Seeded, viewer
from tests.web.html import Node, read
from tests.web.seed import chat_request
from tracer.decisions import DECISION, TRY, Decision
from tracer.errors import StoreError
from tracer.messages import ChatRequest, Message
from tracer.model import Note, Step, Trace, TraceSummary
from tracer.store import Store, open_store
from tracer.wire import Chunk, HttpResponse
from web import create_app
from web.view.conversation import asked
from web.view.deciding import decided, taken
from web.view.images import images_of, media_type_of
from web.view.noting import key_of, note_from
from web.view.rhythm import WIDTH, rhythm_of

MS = 1_000_000
ANYTHING = some.recursive(
    some.none() | some.text() | some.integers() | some.floats() | some.booleans(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=5,
)
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


@pytest.fixture
def shelf(tmp_path):
    with open_store(tmp_path / "panel.db") as store:
        yield store


def kept(store: Store, told: Story) -> str:
    store.apply(told.events, owner="me")
    return told.trace_id


def page(store: Store, path: str) -> Node:
    with viewer(create_app(store)) as client:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return read(answer.text)


class TestDecisions:
    def test_stand_above_the_values_with_each_try_its_wait_and_verdict(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['routed']}?step=triage/ask"))
        (section,) = tree.classed("decided")
        assert section.classed("lead")[0].text == "small was unsure (0.42 < 0.80), so large was asked: large is sure"
        facts = [fact.text for fact in section.classed("facts")[0].all("span")]
        assert facts == [
            "by cascade",
            "canary, 10 %",
            "confidence from stated",
            "breaker of small closed",
            "breaker of large half-open",
            "2 attempts",
            "waited 500 ms",
        ]
        rows = [[cell.text for cell in row.all("td")] for row in section.all("tbody")[0].all("tr")]
        assert [row[1] for row in rows] == ["small", "large"]
        assert rows[0][5] == "on to the next, 0.42 not sure enough"
        assert rows[1][3] == "500 ms"
        row = next(row for row in tree.all("tr") if "ask" in [a.text for a in row.all("a")])
        assert row.classed("model")[0].text == "→ large"

    @given(some.dictionaries(some.sampled_from(list(Decision.__slots__)), ANYTHING))
    def test_of_any_shape_are_read_without_a_word_of_complaint(self, told: dict[str, Any]) -> None:
        tags = {DECISION: {"policy": "x", **told}, TRY: told}
        router = Step("t", "r", None, 0, "r", "router", "r", 0, 0, tags=tags)
        tried = Step("t", "a", "r", 1, "a", "attempt", "r/a", 0, 0, tags=tags)
        trace = Trace(TraceSummary("t", "w", "running", 0), None, (router, tried))
        assert decided(trace, router, base="?") is not None
        assert isinstance(taken(router), str)


class TestRetries:
    def test_of_a_client_are_one_call_with_each_attempt_its_wait_and_what_came(self, shelf: Store) -> None:
        told = Story("w")
        first = told.begin("chat", kind="llm", input={"model": "m"}, model="m")
        told.now_ns += 80 * MS
        told.end(first, "refused", call={"provider": "openai", "model": "m", "status_code": 429})
        told.now_ns += 500 * MS
        tags = {"retry_of": first.hex, "attempt": 2, "after": 429}
        again = told.begin("chat", kind="llm", input={"model": "m"}, model="m", tags=tags)
        told.end(again, "fine", call={"provider": "openai", "model": "m", "status_code": 200})
        other = told.call("m")
        trace_id = kept(shelf, told.finish())
        for step in (first, again):
            (section,) = page(shelf, f"/t/{trace_id}?step={step.hex}").classed("decided")
            assert section.classed("lead")[0].text == "One call, 2 attempts: 429, 200"
            rows = [[cell.text for cell in row.all("td")] for row in section.all("tbody")[0].all("tr")]
            assert [(row[0], row[3], row[5]) for row in rows] == [("1", "", "HTTP 429"), ("2", "500 ms", "HTTP 200")]
        assert not page(shelf, f"/t/{trace_id}?step={other.hex}").classed("decided")


class TestTheRhythmOfAStream:
    def test_is_drawn_with_a_stroke_for_each_piece_and_said_in_words(self) -> None:
        chunks = tuple(Chunk(at * MS, b"x") for at in (100, 110, 120, 500, 510))
        rhythm = rhythm_of(HttpResponse(200, (), chunks))
        assert rhythm is not None
        assert rhythm.words == "5 pieces in 510 ms, the first after 100 ms"
        assert rhythm.pauses == "10 ms between pieces, at most 380 ms (after 120 ms)"
        assert rhythm.path.count("M") == 5

    def test_is_bounded_however_many_pieces_there_are(self) -> None:
        rhythm = rhythm_of(HttpResponse(200, (), tuple(Chunk(at, b"x") for at in range(1, 20_000))))
        assert rhythm is not None
        assert rhythm.path.count("M") <= WIDTH

    @given(some.lists(some.integers(-5, 10**12), max_size=50))
    def test_whatever_the_clock_said(self, moments: list[int]) -> None:
        rhythm = rhythm_of(HttpResponse(200, (), tuple(Chunk(at, b"") for at in moments)))
        assert rhythm is None or rhythm.path

    def test_is_there_on_a_streamed_call_and_not_on_another(self, seeded: Seeded) -> None:
        routed = f"/t/{seeded.ids['routed']}?step=triage/ask"
        assert read(seeded.page(f"{routed}/small/chat")).classed("rhythm")[0].text.startswith("40 pieces in")
        assert not read(seeded.page(routed)).classed("rhythm")


class TestShapes:
    def test_raw_is_json_and_says_so_in_the_address(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['handled']}?step=support&as=raw"))
        assert '"credit": "12.50"' in tree.classed("payload")[0].text
        current = [tab.text for tab in tree.classed("shapes")[0].all("a") if "aria-current" in tab.attrs]
        assert current == ["JSON"]
        assert "as=raw" in tree.classed("path")[0].parent.parent.classed("walk")[0].all("a")[0].attrs["href"]

    def test_a_replay_shows_where_it_differs_from_the_record(self, shelf: Store) -> None:
        first = Story("w")
        one = first.step("say", {"intent": "lost", "sure": 0.5}, input={"text": "hello"})
        first.finish()
        again = Story("w", replay_of=first.trace_id)
        other = again.begin("say", input={"text": "hello"}, source=one.hex)
        again.end(other, {"intent": "stolen", "sure": 0.5})
        again.finish()
        kept(shelf, first)
        tree = page(shelf, f"/t/{kept(shelf, again)}?step=w/say&as=recorded")
        given, made = tree.classed("payload")[:2]
        assert "The same as was recorded." in given.text
        assert [cell.text for cell in made.all("tbody")[0].all("tr")[0].all("th")] == ["$.intent"]
        assert made.all("del")[0].text == "lost"
        assert made.all("ins")[0].text == "stolen"

    def test_a_recording_offers_no_comparison(self, seeded: Seeded) -> None:
        tabs = read(seeded.page(f"/t/{seeded.ids['handled']}")).classed("shapes")[0].all("a")
        assert [tab.text for tab in tabs] == ["typed", "JSON"]


class TestWhereAValueStands:
    def told(self) -> Story:
        told = Story("w", input={"text": "a text that is long enough to tell something"})
        given = {"text": "a text that is long enough to tell something"}
        told.step("one", "a result that is long enough to tell something", input=given)
        told.step("two", True, input="a result that is long enough to tell something")
        return told.finish(True)

    def test_the_panel_names_the_other_places_in_the_trace(self, shelf: Store) -> None:
        tree = page(shelf, f"/t/{kept(shelf, self.told())}?step=w/one")
        assert [same.text for same in tree.classed("same")] == [
            "the same value: input of w",
            "the same value: input of two",
        ]

    def test_what_is_too_small_to_tell_anything_is_not_looked_for(self, shelf: Store) -> None:
        tree = page(shelf, f"/t/{kept(shelf, self.told())}?step=w/two")
        assert [same.text for same in tree.classed("same")] == ["the same value: output of one"]

    def test_its_page_names_those_in_other_traces_newest_first(self, shelf: Store) -> None:
        ids = [kept(shelf, self.told()) for _ in range(3)]
        step = shelf.trace(ids[0]).steps[1]
        assert step.output is not None
        tree = page(shelf, f"/p/{step.output.digest}")
        links = tree.classed("found")[0].all("a")
        assert len(links) == 6
        assert {link.text for link in links} == {"output of w/one", "input of w/two"}
        assert {link.attrs["href"].split("?")[0] for link in links} == {f"/t/{each}" for each in ids}

    def test_a_payload_that_is_nowhere_is_found_nowhere(self, shelf: Store) -> None:
        assert shelf.occurrences("b2:" + "0" * 32) == []


class TestScoresAndNotes:
    def sent(self, store: Store, path: str, *, replays: bool = True, **fields: str) -> Any:
        with viewer(create_app(store, replays=replays)) as client:
            form = read(client.get(path).text).classed("notes")[0].all("form", class_="note")
            known = {field.attrs["name"]: field.attrs.get("value", "") for each in form for field in each.all("input")}
            action = form[0].attrs["action"] if form else path.replace("?step=", "/s/") + "/notes"
            return client.post(
                action, data={**known, **fields}, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False
            )

    def one(self, store: Store) -> tuple[str, str]:
        trace_id = kept(store, Story("w").finish())
        return trace_id, store.trace(trace_id).steps[0].step_id

    def test_are_added_and_shown_at_once_where_one_was(self, shelf: Store) -> None:
        trace_id, step_id = self.one(shelf)
        answer = self.sent(shelf, f"/t/{trace_id}?as=raw&step={step_id}", kind="score", name="correct", text="yes")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/t/{trace_id}?as=raw&step={step_id}#said-of-it"
        self.sent(shelf, f"/t/{trace_id}", kind="note", name="Ada", text="the date is <b>wrong</b>")
        said = page(shelf, f"/t/{trace_id}").classed("notes")[0].all("li")
        assert [one.all("b")[0].text for one in said] == ["correct", "Ada"]
        assert [one.classed("text")[0].text for one in said] == ["yes", "the date is <b>wrong</b>"]
        notes = shelf.trace(trace_id).steps[0].notes
        assert [(note.kind, note.name, note.value) for note in notes] == [
            ("score", "correct", True),
            ("note", "Ada", "the date is <b>wrong</b>"),
        ]

    def test_can_be_taken_back_but_not_what_the_run_said_itself(self, shelf: Store) -> None:
        told = Story("w")
        told.note(told.root, "quality", 0.5, kind="score")
        trace_id = kept(shelf, told.finish())
        step = shelf.trace(trace_id).steps[0]
        self.sent(shelf, f"/t/{trace_id}", kind="score", name="quality", text="0.9")
        buttons = page(shelf, f"/t/{trace_id}").classed("notes")[0].all("button", name="undo")
        assert len(buttons) == 1
        self.sent(shelf, f"/t/{trace_id}", undo=buttons[0].attrs["value"])
        self.sent(shelf, f"/t/{trace_id}", undo="score:0:quality")
        (note,) = shelf.trace(trace_id).steps[0].notes
        assert (note.value, note.is_added) == (0.5, False)
        assert not shelf.remarks.take_back(trace_id, step.step_id, kind="score", name="quality", occurrence=0)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"kind": "score", "name": "", "text": "1"}, "A score needs a name"),
            ({"kind": "score", "name": "a", "text": " "}, "There is nothing to add"),
            ({"kind": "score", "name": "a", "text": "nan"}, "not NaN"),
            ({"kind": "value", "name": "now", "text": "1"}, "One adds a score or a note"),
            ({"kind": "note", "name": "x" * 61, "text": "1"}, "at most 60"),
            ({"undo": "nonsense"}, ""),
        ],
        ids=["no name", "no text", "nan", "a recorded value", "long name", "no key"],
    )
    def test_what_can_not_be_is_refused_in_words_and_nothing_is_written(
        self, shelf: Store, fields: dict[str, str], words: str
    ) -> None:
        trace_id, _ = self.one(shelf)
        answer = self.sent(shelf, f"/t/{trace_id}", **fields)
        assert answer.status_code == 422
        assert words in read(answer.text).text
        assert shelf.trace(trace_id).steps[0].notes == ()

    def test_a_form_without_our_token_or_for_no_step_or_of_a_reading_viewer_writes_nothing(self, shelf: Store) -> None:
        trace_id, step_id = self.one(shelf)
        path, filled = f"/t/{trace_id}", {"kind": "note", "text": "hello"}
        assert self.sent(shelf, path, csrf="0" * 64, **filled).status_code == 403
        assert self.sent(shelf, f"{path}?step={step_id}", replays=False, **filled).status_code == 403
        assert not page_of(shelf, path, replays=False).classed("note")
        with pytest.raises(StoreError, match="no step ffff"):
            shelf.remarks.add(trace_id, "ffff", Note("note", "me", 1, 1, "x"))
        assert shelf.trace(trace_id).steps[0].notes == ()

    def test_a_form_leads_back_to_its_trace_and_nowhere_else(self, shelf: Store) -> None:
        trace_id, _ = self.one(shelf)
        for back in ("https://evil.example/?x=1", "//evil.example", "?x=1\r\nset-cookie: a=b"):
            answer = self.sent(shelf, f"/t/{trace_id}", kind="note", text="hello", back=back)
            assert answer.headers["location"].startswith(f"/t/{trace_id}?")
            assert "set-cookie" not in answer.headers

    @given(some.text(max_size=80), some.text(max_size=80))
    def test_a_key_finds_its_note_again_whatever_the_name(self, name: str, text: str) -> None:
        try:
            note = note_from("note", name, text, at_ns=12)
        except ValueError:
            return
        assert key_of(f"{note.kind}:{note.occurrence}:{note.name}") == ("note", 12, note.name)


def page_of(store: Store, path: str, *, replays: bool) -> Node:
    with viewer(create_app(store, replays=replays)) as client:
        return read(client.get(path).text)


class TestImages:
    def request(self, *urls: str) -> dict[str, Any]:
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        return {"role": "user", "content": [{"type": "text", "text": "what is this?"}, *parts]}

    def url(self, data: bytes, media_type: str = "image/png") -> str:
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

    def test_are_shown_where_they_were_sent_from_an_address_of_their_own(self, shelf: Store) -> None:
        told = Story("w")
        call = told.begin("chat", kind="llm", input=chat_request("m", [self.request(self.url(PIXEL))]), model="m")
        told.end(call, "a pixel", call={"provider": "openai", "model": "m"})
        trace_id = kept(shelf, told.finish())
        with viewer(create_app(shelf)) as client:
            tree = read(client.get(f"/t/{trace_id}?step=w/chat").text)
            (image,) = tree.all("img")
            answer = client.get(image.attrs["src"])
            assert (answer.content, answer.headers["content-type"]) == (PIXEL, "image/png")
            assert image.attrs["alt"]
            assert client.get(image.attrs["src"].replace("images/0", "images/1")).status_code == 404

    def test_what_could_hold_a_script_is_no_image(self) -> None:
        svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
        html = b"<!doctype html><script>alert(1)</script>"
        for data in (svg, html, b"", b"RIFF----WAVE"):
            assert media_type_of(data) is None
            part = {"type": "image_url", "image_url": {"url": self.url(data)}}
            message = Message("user", "", parts=(part,))
            assert list(images_of([message])) == []
            (turn,) = asked(ChatRequest("m", (message,))).turns
            assert turn.images == ()
            assert len(turn.parts) == 1

    def test_keep_their_numbers_where_turns_are_left_out(self) -> None:
        part = {"type": "image_url", "image_url": {"url": self.url(PIXEL)}}
        messages = tuple(Message("user", f"turn {n}", parts=(part,)) for n in range(60))
        view = asked(ChatRequest("m", messages))
        for turn in (*view.turns, *view.middle):
            assert turn.images == (int(turn.preview.removeprefix("turn ")),)


class TestViews:
    def test_each_has_an_address_and_names_itself(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['research']}"))
        for tab in tree.classed("views")[0].all("a"):
            other = read(seeded.page(f"/t/{seeded.ids['research']}{tab.attrs['href']}"))
            (current,) = [one.text for one in other.classed("views")[0].all("a") if "aria-current" in one.attrs]
            assert current == tab.text
            assert len(other.all("h1")) == 1

    def test_the_conversation_shows_a_turn_once_however_often_it_was_sent(self, shelf: Store) -> None:
        told = Story("agent")
        messages: list[dict[str, Any]] = [{"role": "user", "content": "first question"}]
        for number in range(3):
            call = told.begin("chat", kind="llm", input=chat_request("m", list(messages)), model="m")
            told.end(call, {"unread": number}, call={"provider": "openai", "model": "m"})
            told.step("look", f"found {number}", kind="tool", input={"for": number})
            messages += [
                {"role": "assistant", "content": f"answer {number}"},
                {"role": "user", "content": f"more {number}"},
            ]
        tree = page(shelf, f"/t/{kept(shelf, told.finish())}?view=conversation")
        assert [turn.classed("value")[0].text for turn in tree.classed("turn")] == [
            "first question", "answer 0", "more 0", "answer 1", "more 1",
        ]  # fmt: skip
        assert [one.all("a")[0].text for one in tree.classed("passage")] == ["chat", "look"] * 3
        assert "for: 1 → found 1" in tree.text

    def test_the_graph_joins_what_followed_on_another_and_lists_its_boxes(self, shelf: Store) -> None:
        told = Story("flow")
        for name in ("fetch", "parse"):
            told.step(name)
        left = told.begin("left")
        right = told.begin("right")
        told.end(left)
        told.end(right)
        for _ in range(3):
            told.step("store")
        tree = page(shelf, f"/t/{kept(shelf, told.finish())}?view=graph")
        (drawing,) = tree.classed("drawing")
        assert drawing.all("title")[0].text == "flow"
        assert len(drawing.classed("head")) == 7, "in, fetch to parse, parse to both, both to store, out"
        rows = [[cell.text for cell in row.all("td")][:2] for row in tree.classed("boxes")[0].all("tbody")[0].all("tr")]
        assert rows == [["fetch", "1"], ["parse", "1"], ["left", "1"], ["right", "1"], ["store", "3"]]

    def test_the_graph_of_a_step_is_that_of_its_inside(self, seeded: Seeded) -> None:
        inside = read(
            seeded.page(f"/t/{seeded.ids['research']}?view=graph&step=research_assistant_for_quarterly_fee_review/plan")
        )
        assert inside.classed("drawing")[0].all("title")[0].text == "plan"

    def test_events_tell_a_failure_with_its_reason(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['garbled']}?view=events"))
        failed = [row.text for row in tree.classed("events")[0].all("tr") if row.classed("bad")]
        assert any("classify JSONDecodeError: Expecting" in text for text in failed)

    def test_json_is_the_step_as_data(self, seeded: Seeded) -> None:
        source = read(seeded.page(f"/t/{seeded.ids['garbled']}?view=json&step=support/clean")).classed("source")[0]
        assert json.loads(source.text)["name"] == "clean"

    def test_hostile_names_stay_inert_in_every_view(self, shelf: Store) -> None:
        bad = "<script>alert(1)</script>\u202e\x1b[31m]]>&\"'"
        told = Story(bad, input={"text": bad})
        told.note(told.root, bad, bad, kind="score")
        for kind in ("llm", "tool", "router"):
            told.step(bad, bad, kind=kind, input=bad, error=ValueError(bad))
        tags = {DECISION: {"policy": bad, "chosen": bad, "reason": bad, "breakers": {bad: bad}, "candidates": [bad]}}
        told.step(bad, bad, kind="router", tags=tags)
        trace_id = kept(shelf, told.finish(error=ValueError(bad)))
        with viewer(create_app(shelf)) as client:
            for step in shelf.trace(trace_id).steps:
                for view in ("timeline", "tree", "conversation", "graph", "events", "json"):
                    answer = client.get(f"/t/{trace_id}?view={view}&step={step.step_id}")
                    assert answer.status_code == 200, view
                    tree = read(answer.text)
                    assert {one.attrs.get("src", "")[:8] for one in tree.all("script")} == {"/static/"}
                    assert "\u202e" not in answer.text
                    assert "\x1b" not in answer.text


class TestWithoutScript:
    def test_folds_steps_and_views_are_links(self, seeded: Seeded) -> None:
        routed = f"/t/{seeded.ids['routed']}"
        tree = read(seeded.page(f"{routed}?step=triage/ask"))
        (fold,) = tree.classed("run")
        assert fold.text == "200 × embed"
        assert fold.attrs["aria-expanded"] == "false"
        opened = read(seeded.page(routed + fold.attrs["href"]))
        assert len(opened.all("tr")) > len(tree.all("tr")) + 150
        assert opened.classed("run")[0].attrs["aria-expanded"] == "true"
        assert opened.all("h2")[0].text.startswith("ask"), "what one looked at stays chosen"
        later = next(a for a in tree.classed("walk")[0].all("a") if a.text.startswith("next"))
        assert read(seeded.page(routed + later.attrs["href"])).all("h2")[0].text.startswith("small")
        error = next(a for a in tree.classed("walk")[0].all("a") if a.text.startswith("error"))
        assert (
            read(seeded.page(routed + error.attrs["href"]))
            .classed("error")[0]
            .all("h3")[0]
            .text.startswith("TimeoutError")
        )
