from __future__ import annotations

import pytest

from tests.web.conftest import viewer
from tests.web.html import read
from tests.web.test_replay_page import OURS, ended_of
from web import create_app


@pytest.fixture
def client(recorded):
    with viewer(create_app(recorded["url"])) as opened:
        yield opened


class TestTheMatrix:
    def run(self, client, trace_id: str, **fields: object) -> None:
        path = f"/t/{trace_id}/faults"
        csrf = read(client.get(path).text).all("input", name="csrf")[0].attrs["value"]
        answer = client.post(path, data={"csrf": csrf, "then": "run", **fields}, headers=OURS, follow_redirects=False)
        assert answer.status_code == 303, read(answer.text).text
        run = client.app.state.site.runs.of("faults", trace_id)[0]
        ended_of(client, f"/runs/{run.run_id}")

    def test_its_cells_are_words_that_lead_to_their_replays_and_a_restarted_viewer_has_them(
        self, client, recorded
    ) -> None:
        trace_id = recorded["fine"]
        self.run(client, trace_id, fault=["timeout", "slow"])
        path = f"/t/{trace_id}/faults"
        told = {(cell["fault"], cell["outcome"]) for cell in client.get(f"{path}.json").json()["cells"]}
        assert told == {("timeout", "failed"), ("slow", "same")}
        with viewer(create_app(recorded["url"])) as another:
            tree = read(another.get(path).text)
            cells = {link.text: link.attrs["href"] for link in tree.classed("matrix")[0].all("a")}
            assert set(cells) == {"× failed", "= same"}
            assert all(another.get(href).status_code == 200 for href in cells.values())
            assert another.get(f"{path}.xml").text.count("<testcase") == 2

    def test_its_size_is_told_before_it_runs(self, client, recorded) -> None:
        path = f"/t/{recorded['fine']}/faults"
        tree = read(client.get(path).text)
        assert "1 step × 13 faults: at most 13 replays" in tree.classed("preview")[0].text
        csrf = tree.all("input", name="csrf")[0].attrs["value"]
        sent = {"csrf": csrf, "then": "check", "fault": ["slow", "timeout"], "once": "1"}
        tree = read(client.post(path, data=sent, headers=OURS).text)
        assert "1 step × 2 faults: at most 2 replays" in tree.classed("preview")[0].text
        assert tree.all("code", id="command")[0].text.endswith("--fault slow --fault timeout --once")

    def test_who_may_not_run_it_is_told_and_nothing_runs(self, client, recorded) -> None:
        path = f"/t/{recorded['fine']}/faults"
        assert client.post(path, data={"csrf": "no", "then": "run"}, headers=OURS).status_code == 403
        assert client.post(path, data={}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
        csrf = read(client.get(path).text).all("input", name="csrf")[0].attrs["value"]
        sent = {"csrf": csrf, "then": "run", "fault": ["--junit"]}
        assert client.post(path, data=sent, headers=OURS).status_code == 422
        with viewer(create_app(recorded["url"], replays=False)) as forbidden:
            csrf = read(forbidden.get(path).text).all("input", name="csrf")[0].attrs["value"]
            assert forbidden.post(path, data={"csrf": csrf, "then": "run"}, headers=OURS).status_code == 403
            assert forbidden.app.state.site.runs.of("faults", recorded["fine"]) == []
