"""Roles in the viewer: how a canary does, and the forms that promote it or take it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from fastapi.testclient import TestClient

import tracer
from router.registry import Registry
from router.registry.entry import Arm
from tests.web import routing
from tests.web.conftest import HERE, viewer
from tests.web.html import Node, read
from tracer import recorder
from tracer.store import open_store
from web import create_app

OURS = {"origin": HERE, "sec-fetch-site": "same-origin"}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path / 'playhead.db'}"
    tracer.configure(database_url=url, home=tmp_path)
    yield url
    tracer.shutdown()
    recorder._overrides.clear()


@pytest.fixture
def roles(url: str) -> Iterator[Registry]:
    registry = Registry(url)
    registry.set("draft", production="gpt-4o", because="the first", by="ann")
    registry.set("draft", canary="mini", share=20, because="a tenth of the price", by="ann")
    yield registry
    registry.close()


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with viewer(create_app(url)) as opened:
        yield opened


def card(client: TestClient, name: str = "draft") -> Node:
    (found,) = read(client.get("/canaries").text).all("article", id=f"role-{name}")
    return found


def send(client: TestClient, of: Node, headers: dict[str, str] | None = None, **fields: str) -> Any:
    form = of.all("form", method="post")[0]
    sent = {node.attrs["name"]: node.attrs["value"] for node in form.all("input", type="hidden")}
    return client.post(form.attrs["action"], data={**sent, **fields}, headers=headers or OURS, follow_redirects=False)


class TestARole:
    def test_has_its_arms_their_shares_and_what_came_of_each(self, client, roles):
        routing.roll(roles, 100, failing="mini")
        assert tracer.flush()
        rows = [row.text for row in card(client).all("table")[0].all("tr")]
        assert rows[1].startswith("production gpt-4o 80 %")
        assert rows[2].startswith("canary mini 20 %")
        outcomes = client.get("/canaries.json").json()["roles"]["draft"]["arms"]
        assert outcomes["production"]["failures"] == 0
        assert outcomes["canary"]["failures"] == outcomes["canary"]["n"] > 0
        assert outcomes["canary"]["n"] + outcomes["production"]["n"] == 100

    def test_says_when_its_canary_should_go_back(self, client, roles):
        roles.set("draft", share=50)
        routing.roll(roles, 100, failing="mini")
        assert tracer.flush()
        assert "It should go back: failures: 50 of 50" in card(client).classed("bad")[0].text
        assert client.get("/canaries.json").json()["roles"]["draft"]["verdict"]["action"] == "rollback"

    def test_counts_from_its_last_change_on(self, client, roles):
        routing.roll(roles, 40, failing="mini")
        assert tracer.flush()
        roles.set("draft", share=30)
        assert "too few outcomes" in card(client).text
        assert client.get("/canaries.json").json()["roles"]["draft"]["arms"]["production"]["n"] == 0

    def test_has_its_history_with_who_and_why(self, client, roles):
        changes = card(client).all("details")[0].all("tbody")[0].all("tr")
        assert [change.all("td")[1].text for change in changes] == ["ann", "ann"]
        assert "a tenth of the price" in changes[0].text

    def test_shows_the_settings_that_alone_set_arms_apart(self, client, roles):
        roles.set("sum", production=Arm("gpt-4o", {"accept": 0.5}))
        roles.trial("sum", {"accept": 0.82}, share=10)
        assert "accept 0.82" in card(client, "sum").all("table")[0].text

    def test_of_a_file_is_said_to_be_kept_elsewhere(self, client, tmp_path):
        registry = Registry(str(tmp_path / "roles.toml"))
        registry.set("draft", production="gpt-4o", canary="mini", share=20)
        routing.roll(registry, 10)
        assert tracer.flush()
        told = read(client.get("/canaries").text)
        assert "Kept elsewhere" in told.text
        assert "gpt-4o" in told.text
        assert told.all("form", method="post") == []


class TestAForm:
    def test_promotes_the_canary(self, client, roles):
        answer = send(client, card(client), then="promote", because="as good", by="bob")
        assert (answer.status_code, answer.headers["location"]) == (303, "/canaries#role-draft")
        assert str(roles.entries()["draft"].role) == "mini"
        assert [roles.history("draft")[-1].by, roles.history("draft")[-1].because] == ["bob", "as good"]

    def test_takes_the_canary_back_and_later_the_production(self, client, roles):
        assert send(client, card(client), then="rollback", because="wrong dates").status_code == 303
        assert str(roles.entries()["draft"].role) == "gpt-4o"
        roles.set("draft", production="mini")
        one = card(client)
        assert "Back to gpt-4o" in one.text
        assert send(client, one, then="rollback").status_code == 303
        assert str(roles.entries()["draft"].role) == "gpt-4o"

    def test_sets_the_share(self, client, roles):
        assert send(client, card(client), then="share", share="35.5").status_code == 303
        assert roles.entries()["draft"].role.share == 35.5

    @pytest.mark.parametrize("share", ["101", "-1", "nan", "many", ""], ids=["more", "less", "nan", "word", "none"])
    def test_refuses_a_share_that_cant_be(self, client, roles, share):
        answer = send(client, card(client), then="share", share=share)
        assert (answer.status_code, "from 0 to 100" in read(answer.text).text) == (422, True)
        assert roles.entries()["draft"].role.share == 20

    @pytest.mark.parametrize("then", ["promote", "rollback", "share"])
    def test_that_was_made_for_another_state_changes_nothing(self, client, roles, then):
        stale = card(client)
        roles.set("draft", canary="other", because="meanwhile")
        answer = send(client, stale, then=then, share="50")
        assert (answer.status_code, "changed meanwhile" in read(answer.text).text) == (409, True)
        assert str(roles.entries()["draft"].role) == "gpt-4o, other for 20 %"

    def test_from_another_site_or_without_its_token_is_refused(self, client, roles):
        one = card(client)
        elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert send(client, one, elsewhere, then="promote").status_code == 403
        assert send(client, one, then="promote", csrf="guessed").status_code == 403
        assert len(roles.history("draft")) == 2

    @pytest.mark.parametrize("seen", ["", "{", "[]", '"x"', "null"], ids=["none", "torn", "list", "text", "null"])
    def test_that_does_not_say_what_was_seen_is_refused(self, client, roles, seen):
        assert send(client, card(client), then="promote", seen=seen).status_code == 422
        assert len(roles.history("draft")) == 2

    def test_of_a_role_that_is_not_there_says_so(self, client, roles):
        form = {"csrf": card(client).all("input", name="csrf")[0].attrs["value"], "seen": '{"production": "x"}'}
        answer = client.post("/canaries/nobody", data={**form, "then": "promote"}, headers=OURS)
        assert (answer.status_code, "changed meanwhile" in read(answer.text).text) == (409, True)

    def test_does_nothing_in_a_viewer_that_only_reads(self, url, roles):
        with viewer(create_app(url, replays=False)) as client:
            one = card(client)
            assert all("disabled" in button.attrs for button in one.all("button"))
            assert send(client, one, then="promote").status_code == 403
        assert len(roles.history("draft")) == 2


class TestThePage:
    def test_of_a_store_without_roles_says_how_to_make_one(self, client):
        assert "playhead roles set draft" in client.get("/canaries").text

    def test_shows_a_hostile_reason_as_text(self, client, roles):
        roles.set("draft", share=5, because="<script>alert(1)</script>")
        assert "<script>alert" not in client.get("/canaries").text

    def test_names_a_role_that_cant_be_read_and_shows_the_others(self, client, url, roles):
        with open_store(url) as store:
            assert store.share("role:torn", {"production": 3}, version=0)
        told = read(client.get("/canaries").text)
        assert "torn: " in told.classed("banner")[0].text
        assert told.all("article", id="role-draft")
