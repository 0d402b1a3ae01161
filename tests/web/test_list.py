"""The traces list: what narrows it, what it marks, what one can do with several rows, and what it hears of later."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from replay.cassette.files import read as read_cassette
from tests.builders import Story
from tests.web.conftest import Seeded, viewer
from tests.web.html import Node, read
from tests.web.test_pages import id_of, nested, rows
from tracer.store import Filter, Store, open_store
from web import create_app
from web.view.marking import around, marked

HOSTILE = "<script>alert(1)</script>\"'&\u202e"


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with open_store(tmp_path / "list.db", alive=lambda owner: owner == "alive") as opened:
        yield opened


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with viewer(create_app(store)) as opened:
        yield opened


def page(client: TestClient, path: str) -> Node:
    response = client.get(path)
    assert response.status_code == 200, (path, response.text)
    return read(response.text)


def shown(tree: Node) -> list[str]:
    return [id_of(row) for row in rows(tree)]


def told(store: Store, *stories: Story, owner: str = "me") -> None:
    for story in stories:
        store.apply(story.events, owner=owner)


def hidden(form: Node) -> dict[str, str]:
    return {node.attrs["name"]: node.attrs["value"] for node in form.all("input") if node.attrs.get("type") == "hidden"}


class TestTerms:
    def test_each_is_a_link_that_takes_it_away(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/?q=status:failed+workflow:support+card"))
        links = {link.text.removesuffix(" ×"): link.attrs["href"] for link in tree.classed("term")}
        assert links == {
            "status:failed": "/?workflow=support&q=card",
            "workflow:support": "/?status=failed&q=card",
            "card": "/?status=failed&workflow=support",
        }

    def test_one_that_was_mistyped_is_answered_and_the_others_hold(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/?q=modle:gpt-4o+status:failed"))
        assert "did you mean model:gpt-4o?" in tree.classed("sentence")[0].text
        assert all("failed" in row.attrs["class"] for row in rows(tree))
        assert tree.all("input", id="q")[0].attrs["value"] == "modle:gpt-4o"
        assert seeded.client.get("/traces.json?q=modle:gpt-4o").json()["problems"][0]["typed"] == "modle:gpt-4o"

    def test_the_command_that_is_copied_says_all_of_them(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/?status=failed&tag=a%3Db&duration=2s&q=card"))
        command = tree.all("body")[0].attrs["data-command"]
        assert command == "playhead ls --failed --search 'duration>2s tag:a=b card'"


class TestFacets:
    def test_each_value_leads_to_as_many_traces_as_it_says_and_back(self, seeded: Seeded) -> None:
        menus = read(seeded.page("/?status=failed")).classed("facets")[0]
        chips = [link for menu in menus.all("details")[:3] for link in menu.all("a")]
        assert len(chips) > 4
        for chip in chips:
            number = int(chip.all("b")[0].text)
            wanted = Filter.parse(urlsplit(chip.attrs["href"]).query)
            assert len(seeded.store.traces(wanted, limit=1_000)) == number, chip.text
        narrowed = read(seeded.page(chips[0].attrs["href"])).classed("facets")[0]
        (current,) = [link for link in narrowed.all("a") if "aria-current" in link.attrs]
        assert current.attrs["href"] == "/?status=failed"

    def test_a_status_that_is_chosen_leads_back_to_all(self, seeded: Seeded) -> None:
        chips = read(seeded.page("/?status=failed&workflow=support")).classed("chips")[0].all("a")
        (current,) = [chip for chip in chips if "aria-current" in chip.attrs]
        assert current.attrs["href"] == "/?workflow=support"

    def test_the_json_has_what_the_page_has(self, seeded: Seeded) -> None:
        said = seeded.client.get("/traces.json?status=failed&q=card").json()
        assert said["terms"] == ["status:failed", "card"]
        assert sum(said["facets"]["workflows"].values()) == said["facets"]["statuses"]["failed"]
        assert set(said["hits"]) == {one["trace_id"] for one in said["traces"]}


class TestHits:
    def test_are_marked_where_they_stand_with_a_link_to_their_step(self, client: TestClient, store: Store) -> None:
        story = Story("support", input="Where is my parcel?")
        step = story.step("look_up", "The Parcel was lost in Ulm")
        told(store, story.finish("sorry"))
        (row,) = rows(page(client, "/?q=lost+Ulm"))
        assert [mark.text for mark in row.all("mark")] == ["lost", "ulm"]
        link = next(link for link in row.all("a") if link.text == "look_up output")
        opened = page(client, link.attrs["href"])
        assert opened.all("h2")[0].text.startswith("look_up")
        assert f"step={step.hex}" in link.attrs["href"]

    def test_keep_their_spelling_where_the_row_shows_them_anyway(self, client: TestClient, store: Store) -> None:
        told(store, Story("support", input="Where is my Parcel?").finish("sorry"))
        (row,) = rows(page(client, "/?q=parcel"))
        assert [mark.text for mark in row.all("mark")] == ["Parcel"]

    def test_in_an_error_are_marked_in_the_reason(self, client: TestClient, store: Store) -> None:
        told(store, Story("support", input="x").finish(error=TimeoutError("no Answer came")))
        (row,) = rows(page(client, "/?q=answer"))
        assert [mark.text for mark in row.classed("why")[0].all("mark")] == ["Answer"]

    def test_are_inert_whatever_they_hold(self, client: TestClient, store: Store) -> None:
        story = Story("support", input=HOSTILE, tags={HOSTILE: HOSTILE})
        told(store, story.finish(error=ValueError(HOSTILE)))
        for path in ("/", "/?q=alert", "/?q=%22%3Cscript%3E%22", "/?q=script+alert"):
            response = client.get(path)
            assert "<script>alert" not in response.text
            assert "\u202e" not in response.text
            assert len(rows(read(response.text))) == 1

    @given(st.text(), st.lists(st.text(min_size=1), max_size=3))
    def test_marking_changes_no_text(self, text: str, words: list[str]) -> None:
        pieces = marked(text, words)
        assert "".join(piece.text for piece in pieces) == text
        assert all(piece.text for piece in pieces)

    @given(st.text(), st.text("abc", min_size=1, max_size=3), st.text())
    def test_what_stands_around_a_hit_is_short_and_holds_it(self, before: str, word: str, after: str) -> None:
        pieces = around(f"{before} {word} {after}", [word])
        assert any(piece.marked and piece.text.casefold() == word for piece in pieces)
        assert sum(len(piece.text) for piece in pieces) <= 112


class TestSavedFilters:
    def save(self, client: TestClient, path: str, name: str) -> Any:
        form = page(client, path).classed("saved")[0].all("form")[0]
        return client.post("/filters", data={**hidden(form), "name": name}, follow_redirects=False)

    def test_are_kept_for_everyone_and_forgotten_again(self, client: TestClient, store: Store) -> None:
        told(store, Story().finish(error=ValueError("no")))
        saved = self.save(client, "/?status=failed&q=no", "late <refunds>")
        assert (saved.status_code, saved.headers["location"]) == (303, "/?status=failed&q=no")
        with viewer(create_app(store)) as other:
            (link,) = page(other, "/").classed("saved")[0].all("a")
            assert (link.text, link.attrs["href"]) == ("late <refunds>", "/?status=failed&q=no")
            here = page(other, link.attrs["href"]).classed("saved")[0]
            assert "aria-current" in here.all("a")[0].attrs
            forget = {**hidden(here.all("form")[0]), "forget": "late <refunds>"}
            assert other.post("/filters", data=forget).status_code == 200
        assert page(client, "/").classed("saved") == []
        assert self.save(client, "/?status=failed&q=no", "late <refunds>").status_code == 303

    def test_need_a_name_a_filter_and_a_form_of_ours(self, client: TestClient, store: Store) -> None:
        told(store, Story().finish())
        fields = hidden(page(client, "/?status=completed").classed("saved")[0].all("form")[0])
        refused = (({"name": " "}, 422), ({"name": "all", "query": ""}, 422), ({"name": "x", "csrf": "0" * 64}, 403))
        for wrong, status in refused:
            answer = client.post("/filters", data={**fields, **wrong})
            assert answer.status_code == status, wrong
            assert read(answer.text).all("h1")
        assert client.get("/filters.json").json() == []

    def test_are_neither_saved_nor_offered_by_a_viewer_that_only_reads(self, store: Store) -> None:
        told(store, Story().finish())
        with viewer(create_app(store, replays=False)) as client:
            tree = page(client, "/?status=completed")
            assert tree.all("form", action="/filters") == []
            assert client.post("/filters", data={"name": "x", "query": "status=failed"}).status_code == 403
        assert store.shared("filter:") == {}


class TestSeveral:
    @pytest.fixture
    def three(self, store: Store) -> list[str]:
        stories = []
        for number in range(3):
            story = Story("desk", input="my card", at_ns=1_000_000 * (number + 1))
            story.step("classify", "lost" if number < 2 else "refund", input="my card")
            stories.append(story.finish("done"))
        told(store, *stories)
        return [story.trace_id for story in stories]

    def query(self, trace_ids: list[str]) -> str:
        return "&".join(f"t={trace_id}" for trace_id in trace_ids)

    def test_two_lead_to_their_comparison_the_older_first(self, client: TestClient, three: list[str]) -> None:
        answer = client.get(f"/compare?{self.query(three[1::-1])}", follow_redirects=False)
        assert answer.headers["location"] == f"/diff/{three[0]}/{three[1]}"

    def test_three_stand_side_by_side(self, client: TestClient, three: list[str]) -> None:
        tree = page(client, f"/compare?{self.query(three)}")
        assert tree.classed("lead")[0].text.startswith("First difference: classify")
        assert "1 of the others is the same" in tree.classed("lead")[0].text
        cells = [cell.text for row in tree.classed("first") for cell in row.all("td")]
        assert cells == ["classify", "lost", "SAME lost", "CHANGED refund"]
        hrefs = [link.attrs["href"] for link in tree.all("a")]
        assert f"/diff/{three[0]}/{three[2]}" in hrefs
        assert client.get(f"/compare.json?{self.query(three)}").json()["first"]["step"]["name"] == "classify"

    @pytest.mark.parametrize("chosen", [0, 1, 9], ids=["none", "one", "nine"])
    def test_too_few_or_too_many_to_compare_are_told_so(self, client: TestClient, store: Store, chosen: int) -> None:
        stories = [Story().finish() for _ in range(chosen)]
        told(store, *stories)
        answer = client.get(f"/compare?{self.query([story.trace_id for story in stories])}")
        assert answer.status_code == 422
        assert "comparing takes 2 to 8" in read(answer.text).all("h1")[0].text

    def test_are_exported_as_the_command_does(self, client: TestClient, three: list[str], tmp_path) -> None:
        lines = client.get(f"/export?{self.query(three)}&form=jsonl")
        assert lines.headers["content-disposition"] == 'attachment; filename="3-traces.jsonl"'
        (tmp_path / "some.jsonl").write_bytes(lines.content)
        exported = read_cassette(tmp_path / "some.jsonl")
        assert [source.document["trace_id"] for source in exported] == three
        packed = client.get(f"/export?{self.query(three)}&form=cassette")
        with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
            assert sorted(archive.namelist()) == sorted(f"{trace_id}.json" for trace_id in three)
            assert json.loads(archive.read(f"{three[0]}.json"))["playhead"] == "cassette"
        one = client.get(f"/export?t={three[0]}&form=cassette")
        assert one.headers["content-disposition"] == f'attachment; filename="{three[0]}.json"'
        assert one.json()["workflow"] == "desk"
        assert client.get("/export?t=nope").status_code == 422

    def test_are_deleted_only_after_one_was_asked(self, client: TestClient, store: Store, three: list[str]) -> None:
        running = Story("desk")
        told(store, running, owner="alive")
        tree = page(client, f"/delete?{self.query([*three[:2], running.trace_id])}")
        assert tree.all("h1")[0].text == "Delete 2 traces?"
        assert "1 trace still running: not touched." in tree.text
        assert len(store.traces()) == 4
        (form,) = tree.all("form", method="post")
        fields = {"csrf": hidden(form)["csrf"], "t": [*three[:2], running.trace_id]}
        done = read(client.post("/delete", data=fields).text)
        assert done.all("h1")[0].text == "2 traces deleted"
        assert {one.trace_id for one in store.traces()} == {three[2], running.trace_id}

    def test_are_not_deleted_without_a_form_of_ours_nor_by_a_viewer_that_only_reads(
        self, client: TestClient, store: Store, three: list[str]
    ) -> None:
        assert client.post("/delete", data={"t": three, "csrf": "0" * 64}).status_code == 403
        assert client.post("/delete", data={"t": three}, headers={"origin": "http://evil.example"}).status_code == 403
        with viewer(create_app(store, replays=False)) as reading:
            assert reading.get(f"/delete?{self.query(three)}").status_code == 403
            assert reading.post("/delete", data={"t": three}).status_code == 403
            assert not [node for node in page(reading, "/").walk() if node.attrs.get("formaction") == "/delete"]
        assert len(store.traces()) == 3


class TestWhatCameSince:
    def listened(self, client: TestClient, path: str = "/") -> str:
        body = next(node for node in page(client, path).all("tbody") if "data-query" in node.attrs)
        running = ",".join(id_of(row) for row in rows(body) if "open" in row.attrs.get("class", ""))
        told = {"in": body.attrs["data-query"], "after": body.attrs["data-newest"], "open": running}
        return str(client.build_request("GET", "/live.json", params=told).url)

    def test_is_counted_under_the_filter_and_rows_that_ran_are_named(self, client: TestClient, store: Store) -> None:
        now_ns = time.time_ns()
        running = Story("desk", at_ns=now_ns)
        told(store, running, owner="alive")
        every, failed = self.listened(client), self.listened(client, "/?q=status:running")
        assert client.get(every).json()["new"] == 0
        running.step("draft", "x")
        told(store, running, Story("desk", at_ns=now_ns + 10**6).finish(), owner="alive")
        assert client.get(every).json() == {"new": 1, "changed": [running.trace_id]}
        assert client.get(failed).json()["new"] == 0

    def test_a_row_is_given_as_it_is_now(self, client: TestClient, store: Store) -> None:
        running = Story("desk", input="my card")
        told(store, running, owner="alive")
        assert rows(page(client, f"/rows?t={running.trace_id}"))[0].attrs["class"] == "open"
        told(store, running.finish(error=ValueError("no")), owner="alive")
        (row,) = rows(page(client, f"/rows?t={running.trace_id}&t=gone&slowest=x"))
        assert row.attrs["class"] == "failed"
        assert "desk · ValueError: no" in row.text
        assert client.get("/rows").status_code == 200

    def test_a_later_page_listens_for_nothing_newer(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/"))
        following = next(link.attrs["href"] for link in tree.all("a", rel="next"))
        body = next(node for node in read(seeded.page(following)).all("tbody") if "data-query" in node.attrs)
        assert body.attrs["data-newest"] == ""
        assert nested(tree)
