"""The inbox: what waits for a human, and the form that answers it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator

import pytest
from fastapi.testclient import TestClient

import tracer
from router import Waiting
from tests.web import pipeline
from tests.web.conftest import HERE, viewer
from tests.web.html import Node, read
from tracer import recorder
from tracer.store import open_store
from web import create_app

OURS = {"origin": HERE, "sec-fetch-site": "same-origin"}


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    url = f"sqlite:///{tmp_path / 'playhead.db'}"
    monkeypatch.setenv("DESK_WORLD", str(tmp_path / "world.txt"))
    tracer.configure(database_url=url, home=tmp_path)
    yield url
    tracer.shutdown()
    recorder._overrides.clear()


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with viewer(create_app(url)) as opened:
        yield opened


def ask(flow: Any, *args: Any) -> str:
    with pytest.raises(Waiting) as raised:
        flow(*args)
    assert tracer.flush()
    return raised.value.trace_id


def card(client: TestClient, trace_id: str, path: str = "/escalations") -> Node:
    (found,) = read(client.get(path).text).all("article", id=trace_id)
    return found


def send(client: TestClient, of: Node, headers: dict[str, str] | None = None, **fields: str) -> Any:
    form = of.all("form", method="post")[0]
    sent = {node.attrs["name"]: node.attrs["value"] for node in form.all("input", type="hidden")}
    sent |= {"then": "answer", **fields}
    return client.post(form.attrs["action"], data=sent, headers=headers or OURS, follow_redirects=False)


class TestTheInbox:
    def test_shows_each_question_with_what_one_needs_to_answer_it(self, client):
        first, second = ask(pipeline.asking, "a book"), ask(pipeline.wording, "a bear")
        tree = read(client.get("/escalations").text)
        assert [one.attrs["id"] for one in tree.classed("ask")] == [first, second]
        one = card(client, first)
        assert one.all("h2")[0].text == "What about a book?"
        assert [node.attrs["value"] for node in one.all("input", type="radio")] == ["refund", "replace"]
        assert "a book" in one.classed("value")[0].text
        assert card(client, second).all("textarea")
        assert tree.classed("asked")[0].text == "Escalations 2"

    def test_is_empty_where_nothing_waits(self, client):
        pipeline.desk("I lost my card")
        assert tracer.flush()
        assert "Nothing waits for a human" in read(client.get("/escalations").text).text

    def test_says_the_same_to_programs(self, client):
        asked = ask(pipeline.asking, "a book")
        (told,) = client.get("/escalations.json").json()
        assert told["escalation"]["trace_id"] == asked
        assert told["question"]["options"] == ["refund", "replace"]

    def test_changes_nothing_by_being_looked_at(self, client, url):
        asked = ask(pipeline.asking, "a book", 1e-6)
        assert "overdue by" in card(client, asked).text
        with open_store(url) as store:
            assert [one.state for one in store.escalations.pending()] == ["open"]

    def test_shows_recorded_text_as_text(self, client):
        ask(pipeline.asking, "<script>alert(1)</script>")
        assert "<script>alert(1)" not in client.get("/escalations").text

    def test_is_one_click_from_the_trace_that_waits(self, client):
        asked = ask(pipeline.asking, "a book")
        tree = read(client.get(f"/t/{asked}").text)
        (banner,) = tree.classed("banner")
        assert banner.text == "Waiting for a human's answer. answer it"
        assert banner.all("a")[0].attrs["href"] == f"/escalations#{asked}"
        assert tree.all("section", id="panel")[0].all("h2")[0].text.startswith("escalate")
        assert "asks a human" in read(client.get("/?status=waiting").text).text


class TestAnAnswer:
    def test_goes_on_with_the_run_and_leads_to_it(self, client):
        asked = ask(pipeline.asking, "a book")
        answer = send(client, card(client, asked), answer="refund", by="ann")
        assert answer.status_code == 303, read(answer.text).text
        new = read(client.get(answer.headers["location"]).text)
        assert new.classed("st")[0].text == "completed"
        assert pipeline.written() == ["sent: refund"]
        assert "It asked a human, and went on with the answer." in read(client.get(f"/t/{asked}").text).text
        told = card(client, asked, "/escalations?all").text
        assert "answered refund by ann" in told
        assert "went on as" in told
        assert not read(client.get("/escalations").text).classed("asked")

    @pytest.mark.parametrize("text", ["-- no --", "--help", 'two\nlines of "text"'], ids=["dashes", "option", "lines"])
    def test_may_be_any_text_where_any_will_do(self, client, text):
        asked = ask(pipeline.wording, "a bear")
        assert send(client, card(client, asked), answer=text).status_code == 303
        assert pipeline.written() == f"sent: {text}".splitlines()

    def test_that_does_not_fit_is_refused_and_stays_in_the_form(self, client):
        asked = ask(pipeline.pricing)
        answer = send(client, card(client, asked), answer='{"book": "three"}')
        assert answer.status_code == 422
        (one,) = read(answer.text).all("article", id=asked)
        assert "$.book: 'three' is no integer" in one.classed("error")[0].text
        assert '{"book": "three"}' in one.all("textarea")[0].text
        assert pipeline.written() == []

    def test_that_is_no_option_is_refused_and_the_options_are_named(self, client):
        asked = ask(pipeline.asking, "a book")
        answer = send(client, card(client, asked), answer="keep it")
        assert (answer.status_code, "none of the options: refund, replace" in read(answer.text).text) == (422, True)

    def test_that_comes_second_is_told_who_was_first(self, client):
        asked = ask(pipeline.asking, "a book")
        stale = card(client, asked)
        send(client, stale, answer="refund", by="ann")
        answer = send(client, stale, answer="replace", by="bob")
        assert answer.status_code == 422
        assert re.search("was answered with 'refund' by ann", read(answer.text).text)
        assert pipeline.written() == ["sent: refund"]

    def test_is_nothing_where_nothing_was_chosen(self, client):
        answer = send(client, card(client, ask(pipeline.asking, "a book")))
        assert (answer.status_code, "Choose an answer first" in read(answer.text).text) == (422, True)

    def test_from_another_site_is_refused(self, client):
        one = card(client, ask(pipeline.asking, "a book"))
        elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert send(client, one, elsewhere, answer="refund").status_code == 403
        assert send(client, one, answer="refund", csrf="guessed").status_code == 403
        assert pipeline.written() == []

    def test_is_not_taken_by_a_viewer_that_may_run_nothing(self, url):
        asked = ask(pipeline.asking, "a book")
        with viewer(create_app(url, replays=False)) as client:
            answer = send(client, card(client, asked), answer="refund")
        assert (answer.status_code, pipeline.written()) == (403, [])


class TestTheOtherButtons:
    def test_assign_and_withdraw(self, client):
        asked = ask(pipeline.asking, "a book")
        assert send(client, card(client, asked), then="assign", assignee="bob").status_code == 303
        assert "for bob" in card(client, asked).text
        assert send(client, card(client, asked), then="withdraw", by="ann").status_code == 303
        assert "withdrawn by ann" in card(client, asked, "/escalations?all").text
        assert "the question was withdrawn" in read(client.get(f"/t/{asked}").text).text

    def test_go_on_with_a_run_whose_answer_is_kept(self, client, url):
        asked = ask(pipeline.asking, "a book")
        with open_store(url) as store:
            (one,) = store.escalations.pending()
            store.escalations.close(one, "answered", by="ann", value="replace")
        assert "has not gone on with it yet" in card(client, asked).text
        assert send(client, card(client, asked), then="resume").status_code == 303
        assert pipeline.written() == ["sent: replace"]
