from __future__ import annotations

import pytest

from tests.web.conftest import viewer
from tests.web.html import read
from tests.web.test_replay_page import OURS, ended_of
from tracer import recorder
from web import create_app


@pytest.fixture
def client(recorded):
    with viewer(create_app(recorded["url"])) as opened:
        yield opened


def send(client, then: str, **fields: object):
    csrf = read(client.get("/backtests").text).all("input", name="csrf")[0].attrs["value"]
    plain = {"step": "classify", "model": "same:another", "scorer": "exact", "csrf": csrf, "then": then}
    return client.post("/backtests", data={**plain, **fields}, headers=OURS, follow_redirects=False)


class TestABacktest:
    def test_is_begun_on_selected_traces_and_its_report_opens_each(self, client, recorded) -> None:
        answer = send(client, "run", t=[recorded["fine"]])
        assert answer.status_code == 303, read(answer.text).text
        place = answer.headers["location"]
        run = client.app.state.site.runs.of("backtest", place.rpartition("/")[2])[0]
        told = ended_of(client, f"/runs/{run.run_id}")
        assert told["problem"] == "", told
        with viewer(create_app(recorded["url"])) as another:
            tree = read(another.get(place).text)
            row = tree.classed("outcomes")[0].all("tr")[1]
            assert row.text.startswith("SAME")
            assert another.get(row.all("a")[0].attrs["href"]).status_code == 200
            assert "1 of 1" in read(another.get("/backtests").text).text
            assert another.get(f"{place}.json").json()["done"] == 1

    def test_how_many_and_about_what_cost_is_told_before(self, client, recorded) -> None:
        tree = read(send(client, "check", workflow="desk").text)
        assert "each a replay. By the newest: 0 model calls a trace, about $0" in tree.classed("preview")[0].text
        assert list((recorder.current_config().home / "backtests").glob("*")) == []

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"scorer": "os:system"}, "would run code"),
            ({"workers": "900"}, "number of workers"),
            ({"workflow": "nothing"}, "there are no"),
            ({"model": ""}, "Say which step"),
            ({"budget": "much"}, "no amount of dollars"),
        ],
        ids=["scorer", "workers", "traces", "model", "budget"],
    )
    def test_what_can_not_be_begun_is_said_in_a_sentence(self, client, recorded, fields, words) -> None:
        answer = send(client, "run", **{"t": [recorded["fine"]] if "workflow" not in fields else [], **fields})
        assert answer.status_code == 422
        assert words.lower() in read(answer.text).all("div", role="alert")[0].text.lower()

    def test_a_viewer_without_replays_begins_none(self, recorded) -> None:
        with viewer(create_app(recorded["url"], replays=False)) as client:
            assert send(client, "run", t=[recorded["fine"]]).status_code == 403

    def test_a_name_that_is_a_path_is_not_found(self, client) -> None:
        assert client.get("/backtests/..%2fsecrets").status_code == 404
        assert client.get("/backtests/none").status_code == 404
