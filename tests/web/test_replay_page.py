from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from httpx import Response

import tracer
from tests.web import pipeline
from tests.web.conftest import HERE, module_at, viewer
from tests.web.html import Node, read
from tracer.reading import open_reading
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


def ended(client: TestClient, answer: Response) -> Response:
    """What the page of a run leads to once it is over, or that page."""
    assert answer.status_code == 303, read(answer.text).text
    ended_of(client, answer.headers["location"])
    return client.get(answer.headers["location"])


def ended_of(client: TestClient, place: str, *, within_s: float = 120) -> dict[str, Any]:
    """What is said of the run at this address once it is over."""
    assert place.startswith("/runs/")
    until_s = time.monotonic() + within_s
    while (told := client.get(f"{place}.json").json())["state"] not in ("done", "cancelled"):
        assert time.monotonic() < until_s, "the run did not end"
    return told


def send(client: TestClient, trace_id: str, fields: dict[str, str], *, then: str = "run", **headers: str):
    return client.post(
        f"/t/{trace_id}/replay", data={**fields, "then": then}, headers=headers or OURS, follow_redirects=False
    )


class TestRunning:
    def test_an_edited_output_runs_what_follows_and_lands_on_the_comparison(self, client, recorded) -> None:
        path = f"/t/{recorded['failed']}/replay"
        fields = form_of(client, path)
        fields["edit:desk/classify"] = '{"intent": "card_lost", "confidence": 1.0}'
        landed = ended(client, send(client, recorded["failed"], fields))
        assert landed.url.path.startswith(f"/diff/{recorded['failed']}/")
        tree = read(landed.text)
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
        assert "two" in read(ended(client, answer).text).text

    def test_an_untouched_form_replays_the_same_and_says_so(self, client, recorded) -> None:
        answer = send(client, recorded["fine"], form_of(client, f"/t/{recorded['fine']}/replay"))
        tree = read(ended(client, answer).text)
        assert tree.classed("lead")[0].text == "The replay gave the same as the record."
        assert len(pipeline.written()) == 1

    def test_the_same_command_is_shown_to_copy(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields |= {"do:desk/draft": "live", "edit:desk/classify": '{"intent": "it\'s"}', "budget": "0.5"}
        tree = read(send(client, recorded["fine"], fields, then="check").text)
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
        fields["model:desk/classify"] = "gpt-99"
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

    def test_a_fault_that_there_is_not(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay")
        fields["fault:desk/classify"] = "tired"
        self.check(client, recorded, fields, "No fault 'tired'; there are timeout,", 422)

    def test_a_further_rule_that_is_none(self, client, recorded) -> None:
        fields = form_of(client, f"/t/{recorded['fine']}/replay") | {"extra": "classify=other"}
        self.check(client, recorded, fields, "'classify=other' is no rule: write one a line, as --model", 422)


class TestWhereItStops:
    @pytest.fixture
    def stopped(self, client, recorded) -> Response:
        fields = form_of(client, f"/t/{recorded['unfiled']}/replay")
        fields["edit:filing/classify"] = '{"intent": "card_lost"}'
        return ended(client, send(client, recorded["unfiled"], fields))

    def test_the_comparison_says_where_with_both_inputs_and_what_would_let_it_pass(self, stopped) -> None:
        tree = read(stopped.text)
        told = tree.classed("stop")[0]
        assert told.text.startswith("Stopped: filing/file: ")
        assert all(link.text.startswith("--") for link in told.all("a"))
        assert not any(line.startswith("filed") for line in pipeline.written())

    def test_a_way_on_leads_to_the_form_with_the_same_plan_and_that_rule(self, client, stopped) -> None:
        way = next(
            link for link in read(stopped.text).classed("stop")[0].all("a") if link.text.startswith("--stand-in")
        )
        fields = fields_in(read(client.get(way.attrs["href"]).text))
        lines = fields["extra"].splitlines()
        assert lines[0].startswith("--edit 'classify=")
        assert lines[1].startswith("--stand-in file=")

    def test_a_restarted_viewer_still_says_where(self, recorded, stopped) -> None:
        with viewer(create_app(recorded["url"])) as another:
            told = read(another.get(stopped.url.path).text).classed("stop")[0]
        assert "filing/file" in told.text.lower()
        assert "like=" in told.all("a")[0].attrs["href"]


class TestThePreview:
    def preview(self, client, recorded, **fields: str) -> Node:
        sent = form_of(client, f"/t/{recorded['fine']}/replay") | fields
        return read(send(client, recorded["fine"], sent, then="check").text)

    def fates(self, tree: Node) -> dict[str, str]:
        rows = [row for row in tree.classed("steps")[0].all("tr") if "id" in row.attrs]
        return {row.classed("name")[0].text.split()[0]: row.classed("c-fate")[0].text.split()[0] for row in rows}

    def test_every_step_says_what_would_become_of_it_and_nothing_runs(self, client, recorded) -> None:
        tree = self.preview(client, recorded, **{"edit:desk/classify": '{"intent": "other"}'})
        assert self.fates(tree) == {"classify": "EDITED", "draft": "DEPENDS", "send": "DEPENDS"}
        assert "It asks no model: it costs nothing." in tree.all("section", id="preview")[0].text
        assert len(client.get(f"/t/{recorded['fine']}.json").json()["steps"]) == 4
        with open_store(recorded["url"]) as store:
            assert store.replays_of(recorded["fine"]) == []

    def test_from_here_a_link_begins_with_that_step_going_live(self, client, recorded) -> None:
        tree = read(client.get(f"/t/{recorded['fine']}/replay?step={quote('desk/draft')}").text)
        assert self.fates(tree) == {"classify": "SERVED", "draft": "LIVE", "send": "DEPENDS"}
        assert fields_in(tree)["do:desk/draft"] == "from"

    def test_a_fault_is_one_of_the_names_and_may_strike_once(self, client, recorded) -> None:
        tree = self.preview(client, recorded, **{"fault:desk/draft": "timeout:once"})
        assert self.fates(tree)["draft"] == "FAULT"
        assert tree.all("code", id="command")[0].text.endswith("--fail draft=timeout:once")

    def test_an_edit_of_another_kind_is_said_in_its_place_and_allowed(self, client, recorded) -> None:
        tree = self.preview(client, recorded, **{"edit:desk/draft": "7"})
        place = tree.all("textarea", name="edit:desk/draft")[0].parent.parent.parent
        assert "This is a number, and what was recorded is a text." in place.text

    def test_an_edit_that_does_not_fit_its_class_is_refused_in_its_place(self, client, typed) -> None:
        path = f"/t/{typed}/replay"
        fields = form_of(client, path) | {"edit:judge/look": '{"verdikt": "good"}'}
        answer = send(client, typed, fields)
        assert answer.status_code == 422
        assert "Verdict has no field 'verdikt'" in read(answer.text).all("div", role="alert")[0].text
        tree = read(send(client, typed, fields, then="check").text)
        place = tree.all("textarea", name="edit:judge/look")[0].parent.parent.parent
        assert "Verdict has no field 'verdikt' (it has certainty, verdict)" in place.all("p", role="alert")[0].text
        assert "JSON of Verdict" in place.text

    def test_a_plan_is_answered_as_json(self, client, recorded) -> None:
        told = client.get(f"/t/{recorded['fine']}/replay.json?step={quote('desk/draft')}").json()
        assert told["rules"] == ["--from draft"]
        assert [row["word"] for row in told["plan"]["rows"]] == ["runs", "served", "live", "unknown"]


@pytest.fixture
def typed(recorded, tmp_path) -> str:
    """A trace whose step gives a class of the workflow's module, which no other module here imports."""
    body = (
        "from dataclasses import dataclass\n\n@dataclass\nclass Verdict:\n    verdict: str\n    certainty: float\n\n"
        "@step\ndef look(text):\n    return Verdict('good', 0.9)\n\n@workflow\ndef judge(text):\n    return look(text)"
    )
    path = tmp_path / "desk_that_judges.py"
    path.write_text(f"from tracer import step, workflow\n\n{body}\n\nif __name__ == '__main__':\n    judge('hello')\n")
    environment = {**os.environ, "PLAYHEAD_DATABASE_URL": recorded["url"], "PLAYHEAD_HOME": str(tmp_path)}
    subprocess.run([sys.executable, str(path)], check=True, env=environment, cwd=tmp_path)
    with open_reading(recorded["url"]) as store:
        return store.traces(limit=1)[0].trace_id


class TestARunUnderWay:
    """A workflow that waits for a file to be there: the test lets it go on."""

    @pytest.fixture
    def waiting(self, client, recorded, tmp_path):
        gate = tmp_path / "gate"
        gate.touch()
        body = (
            "import time\nfrom pathlib import Path\n\n@step\ndef wait(text):\n"
            f"    while not Path({str(gate)!r}).exists():\n        time.sleep(0.02)\n    return text\n\n"
            "@workflow\ndef desk(text):\n    return wait(text)"
        )
        path = tmp_path / "desk_that_waits.py"
        try:
            module_at(path, body)("hello")
        finally:
            sys.modules.pop(path.stem, None)
        assert tracer.flush()
        gate.unlink()
        with open_store(recorded["url"]) as store:
            return store.traces(limit=1)[0].trace_id, gate

    def begun(self, client: TestClient, trace_id: str) -> str:
        fields = form_of(client, f"/t/{trace_id}/replay") | {"do:desk/wait": "live"}
        answer = send(client, trace_id, fields)
        assert answer.status_code == 303, read(answer.text).text
        return answer.headers["location"]

    def until(self, client: TestClient, place: str, *states: str) -> dict:
        until_s = time.monotonic() + 120
        while (told := client.get(f"{place}.json").json())["state"] not in states:
            assert time.monotonic() < until_s, told
        return told

    def test_its_page_says_how_far_it_is_and_then_leads_to_the_comparison(self, client, waiting) -> None:
        trace_id, gate = waiting
        place = self.begun(client, trace_id)
        until_s = time.monotonic() + 120
        while (told := client.get(f"{place}.json").json())["done"] < 1:
            assert told["state"] in ("waiting", "running")
            assert time.monotonic() < until_s
        page = client.get(place).text
        assert "of 2 recorded steps" in read(page).text
        part = client.get(place, headers={"x-fragment": "progress"}).text
        assert "of 2 recorded steps" in part
        assert "<form" not in part
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
        gate.touch()
        self.until(client, place, "done")
        assert client.get(place).url.path.startswith(f"/diff/{trace_id}/")

    def test_cancelling_ends_its_process(self, client, waiting) -> None:
        place = self.begun(client, waiting[0])
        self.until(client, place, "running")
        assert client.post(f"{place}/cancel", data={"csrf": "no"}, headers=OURS).status_code == 403
        csrf = read(client.get(place).text).all("input", name="csrf")[0].attrs["value"]
        page = read(client.post(f"{place}/cancel", data={"csrf": csrf}, headers=OURS).text)
        assert "Cancelled." in page.text
        run = client.app.state.site.runs.get(place.rpartition("/")[2])
        assert run.process.wait(timeout=30) != 0

    def test_a_crash_of_its_process_is_told_and_the_form_is_kept(self, client, waiting) -> None:
        place = self.begun(client, waiting[0])
        self.until(client, place, "running")
        os.killpg(client.app.state.site.runs.get(place.rpartition("/")[2]).process.pid, signal.SIGKILL)
        told = self.until(client, place, "done")
        assert told["problem"].startswith("Its process was ended by signal 9")
        page = read(client.get(place).text)
        assert "Its process was ended by signal 9" in page.all("div", role="alert")[0].text
        back = next(link.attrs["href"] for link in page.all("a") if link.text.startswith("Back to the form"))
        assert fields_in(read(client.get(back).text))["do:desk/wait"] == "live"

    def test_more_than_two_wait_their_turn(self, client, waiting) -> None:
        trace_id, gate = waiting
        places = [self.begun(client, trace_id) for _ in range(3)]
        for place in places[:2]:
            self.until(client, place, "running")
        assert client.get(f"{places[2]}.json").json()["state"] == "waiting"
        gate.touch()
        for place in places:
            self.until(client, place, "done")

    def test_events_say_how_far_it_is_until_it_is_over(self, client, waiting) -> None:
        place = self.begun(client, waiting[0])
        waiting[1].touch()
        with client.stream("GET", f"{place}/live") as answer:
            said = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data")]
        assert said[-1]["state"] == "done"

    def test_a_run_that_nobody_knows_is_not_found(self, client) -> None:
        assert client.get("/runs/0123").status_code == 404


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
