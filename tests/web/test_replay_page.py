from __future__ import annotations

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.web import pipeline
from tests.web.conftest import HERE, viewer
from tests.web.html import Node, read
from tracer.store import open_store
from web import create_app

OURS = {"origin": HERE, "sec-fetch-site": "same-origin"}


@pytest.fixture
def client(recorded):
    with viewer(create_app(recorded["url"])) as opened:
        yield opened


def form_of(client: TestClient, path: str) -> dict[str, str]:
    """The fields of the replay form as a browser would send them untouched."""
    return fields_in(read(client.get(path).text))


def fields_in(tree: Node) -> dict[str, str]:
    form = tree.all("form", method="post")[0]
    fields = {node.attrs["name"]: node.attrs.get("value", "") for node in form.all("input")}
    for area in form.all("textarea"):
        fields[area.attrs["name"]] = "".join(child for child in area.children if isinstance(child, str)).removeprefix(
            "\n"
        )
    for select in form.all("select"):
        chosen = [option.attrs["value"] for option in select.all("option") if "selected" in option.attrs]
        fields[select.attrs["name"]] = chosen[0] if chosen else select.all("option")[0].attrs["value"]
    return fields


def send(client: TestClient, trace_id: str, fields: dict[str, str], *, then: str = "run", **headers: str):
    return client.post(
        f"/t/{trace_id}/replay", data={**fields, "then": then}, headers=headers or OURS, follow_redirects=False
    )


class TestRunning:
    def test_an_edited_output_runs_what_follows_and_lands_on_the_comparison(self, client, recorded) -> None:
        path = f"/t/{recorded['failed']}/replay"
        fields = form_of(client, path)
        fields["edit:desk/classify"] = '{"intent": "card_lost", "confidence": 1.0}'
        answer = send(client, recorded["failed"], fields)
        assert answer.status_code == 303, read(answer.text).text
        tree = read(client.get(answer.headers["location"]).text)
        assert "First difference: classify" in tree.classed("lead")[0].text
        assert "The record failed, the replay completed." in tree.classed("lead")[0].text
        assert pipeline.written() == ["sent: Dear customer, about card_lost."], (
            "only the first recording sent something"
        )

    def test_code_edited_while_the_viewer_runs_is_the_code_that_is_replayed(self, client, recorded) -> None:
        recorded_as = read(client.get(f"/t/{recorded['edited']}/replay").text)
        assert not recorded_as.classed("banner")
        module = recorded["module"]
        module.write_text(module.read_text().replace("one", "two"))
        answer = send(client, recorded["edited"], form_of(client, f"/t/{recorded['edited']}/replay"))
        assert "two" in read(client.get(answer.headers["location"]).text).text

    def test_an_untouched_form_replays_the_same_and_says_so(self, client, recorded) -> None:
        answer = send(client, recorded["fine"], form_of(client, f"/t/{recorded['fine']}/replay"))
        assert answer.status_code == 303
        tree = read(client.get(answer.headers["location"]).text)
        assert tree.classed("lead")[0].text == "The replay gave the same as the record."
        assert len(pipeline.written()) == 1

    def test_the_same_command_is_shown_to_copy(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields |= {"do:desk/draft": "live", "edit:desk/classify": '{"intent": "it\'s"}', "budget": "0.5"}
        tree = read(send(client, recorded["fine"], fields, then="command").text)
        command = tree.all("code", id="command")[0].text
        assert command.startswith(f"playhead replay {recorded['fine']} --edit ")
        assert command.endswith("--live draft --budget-usd 0.5")


class TestTrouble:
    """Each is one sentence, and what was entered is still there."""

    def check(
        self, client: TestClient, recorded: dict[str, str], fields: dict[str, str], words: str, status: int
    ) -> Node:
        with open_store(recorded["url"]) as store:
            before = len(store.traces(limit=100))
        answer = send(client, recorded["fine"], fields)
        assert answer.status_code == status
        tree = read(answer.text)
        assert words in tree.all("div", role="alert")[0].text
        again = fields_in(tree)
        again.pop("csrf")
        assert again == {name: value for name, value in fields.items() if name != "csrf"}
        with open_store(recorded["url"]) as store:
            assert len(store.traces(limit=100)) == before
        return tree

    def test_an_edit_that_is_no_json(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields["edit:desk/classify"] = "{intent: nothing}"
        self.check(client, recorded, fields, "The edit of classify is not JSON", 422)

    def test_a_model_that_is_in_no_catalogue(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields["do:desk/classify"] = "model:gpt-99"
        self.check(client, recorded, fields, "no model named 'gpt-99'", 422)

    def test_a_budget_that_is_no_amount(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields["budget"] = "much"
        self.check(client, recorded, fields, "'much' is no amount of dollars", 422)

    def test_a_form_from_before_a_restart(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay") | {"csrf": "old"}
        tree = self.check(client, recorded, fields, "before the viewer was restarted", 403)
        assert fields_in(tree)["csrf"] not in ("", "old")

    def test_a_workflow_that_can_not_be_imported_is_told_before_one_tries(self, client, recorded) -> None:
        tree = read(client.get(f"/t/{recorded['gone']}/replay").text)
        assert "can't be imported any more" in tree.classed("banner")[0].text
        assert "disabled" in tree.all("button", value="run")[0].attrs

    def test_a_replay_that_stops_says_where_and_links_to_what_it_did(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['unfiled']}/replay")
        fields["edit:filing/classify"] = '{"intent": "card_lost"}'
        answer = send(client, recorded["unfiled"], fields)
        assert answer.status_code == 409
        tree = read(answer.text)
        alert = tree.all("div", role="alert")[0]
        assert "Stopped at filing/file" in alert.text
        assert client.get(alert.all("a")[0].attrs["href"]).status_code == 200
        assert fields_in(tree)["edit:filing/classify"] == '{"intent": "card_lost"}'
        assert not any(line.startswith("filed") for line in pipeline.written())


class TestWhoMayRun:
    def test_another_site_may_not_send_the_form(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null", "sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "cross-site"},
            {"origin": HERE, "sec-fetch-site": "same-site"},
        ):
            assert send(client, recorded["fine"], fields, **headers).status_code == 403, headers
        assert len(pipeline.written()) == 1

    def test_the_token_of_one_trace_is_no_token_for_another(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        assert send(client, recorded["failed"], fields).status_code == 403

    def test_a_viewer_without_replays_shows_the_command_instead(self, recorded) -> None:
        with viewer(create_app(recorded["url"], replays=False)) as client:
            path = f"/t/{recorded['fine']}/replay"
            fields = form_of(client, path)
            assert "disabled" in read(client.get(path).text).all("button", value="run")[0].attrs
            assert send(client, recorded["fine"], fields).status_code == 403

    def test_asking_from_another_site_imports_nothing(self, client, recorded) -> None:
        path = f"/t/{recorded['gone']}/replay?edit={quote('desk/draft')}"
        tree = read(client.get(path, headers={"sec-fetch-site": "cross-site"}).text)
        assert not tree.classed("banner")
