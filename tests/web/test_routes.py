"""What is shown of routers and breakers."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from fastapi.testclient import TestClient

import tracer
from router.breaker.history import Known, Transition
from tests.web import routing
from tests.web.conftest import viewer
from tests.web.html import Node, read
from tracer import recorder
from web import create_app
from web.recent import Recent
from web.view.routing import bare, percent, rate
from web.view.timeline import WIDE, breaker_card


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("routes")
    url = f"sqlite:///{home / 'playhead.db'}"
    tracer.configure(database_url=url, home=home)
    for times in ({}, {}, {"limited": 1}, {"limited": 2}, {"limited": 9, "steady": 9}):
        try:
            routing.support(times)
        except Exception:  # noqa: BLE001 - the last one is to fail
            continue
    assert routing.breaks(routing.Clock()) == ("open", "closed")
    assert tracer.flush()
    yield url
    tracer.shutdown()
    recorder._overrides.clear()


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with viewer(create_app(url)) as opened:
        yield opened


def card(client: TestClient, name: str) -> Node:
    (found,) = [
        one for one in read(client.get("/routes").text).classed("card") if one.all("h3")[0].text.startswith(name)
    ]
    return found


class TestARouter:
    def test_has_the_share_of_answers_of_each_target(self, client):
        rows = [row.text for row in card(client, "support/draft").all("table")[0].all("tr")]
        assert rows[1].startswith("limited 60 %")
        assert "3 of 5; 95 %: 23 % to 88 %" in rows[1]
        assert rows[2].startswith("steady 20 %")

    def test_has_its_rates_of_fallback_retry_and_failure(self, client):
        told = card(client, "support/draft").text
        assert "5 decisions" in told
        for part in ("fell back 20 %", "retried 60 %", "failed 20 %"):
            assert part in told

    def test_leads_to_its_traces_and_to_the_failed_ones(self, client):
        one = card(client, "support/draft")
        hrefs = [link.attrs["href"] for link in one.all("a")]
        assert "workflow=support" in hrefs[0]
        assert "step=draft" in hrefs[0]
        assert len(read(client.get(hrefs[0]).text).all("tbody")[0].all("tr")) == 5
        assert len(read(client.get(hrefs[1]).text).all("tbody")[0].all("tr")) == 1

    def test_says_why_it_decided_so_and_how_often(self, client):
        reasons = card(client, "support/draft").all("details")[0].text
        assert "limited" in reasons
        assert "nobody" in reasons

    def test_is_the_same_to_programs(self, client):
        told = client.get("/routes.json").json()
        (one,) = told["routers"]
        assert (one["router"], one["decisions"], one["fell_back"], one["retried"]) == ("support/draft", 5, 1, 3)
        assert one["answers"] == {"limited": 3, "steady": 1}
        assert sum(reason["times"] for reason in one["reasons"]) == 5


class TestABreaker:
    def test_has_its_state_its_trips_and_its_last_error(self, client):
        told = card(client, routing.BREAKER).text
        assert told.startswith("limited closed")
        assert "opened 1×" in told
        assert "429 <b>slow</b> down" in told

    def test_is_drawn_as_a_line_whose_stretches_lead_to_the_traces(self, client):
        (line,) = card(client, routing.BREAKER).classed("line")
        assert [rect.attrs["class"] for rect in line.all("rect")] == ["closed", "closed", "open", "half-open"]
        for link in line.all("a"):
            assert client.get(link.attrs["href"]).status_code == 200

    def test_lists_every_change_with_its_reason(self, client):
        rows = [row.text for row in card(client, routing.BREAKER).all("tbody")[0].all("tr")]
        assert len(rows) == 3
        assert "open closed" in rows[-1]


class TestThePage:
    @pytest.mark.parametrize("since", ["soon", "-1d", "<script>", ""], ids=["word", "minus", "markup", "nothing"])
    def test_takes_the_usual_period_where_none_can_be_read(self, client, since):
        assert client.get("/routes.json", params={"since": since}).json()["since"] == "1d"

    def test_shows_recorded_text_as_text(self, client):
        assert "<b>slow" not in client.get("/routes").text

    def test_of_a_store_without_any_says_what_would_be_here(self, tmp_path):
        with viewer(create_app(str(tmp_path / "none.db"))) as client:
            assert "Nothing was routed" in client.get("/routes").text


class TestATimeline:
    def change(self, was: str, now: str, at_ns: int) -> Transition:
        return Transition("x", was, now, "failed", "why", at_ns, "t", "p")

    def test_fills_its_width_without_a_gap(self):
        changes = [self.change("closed", "open", 400), self.change("open", "closed", 700)]
        one = breaker_card(Known("x", "closed", 700, trips=1), changes, from_ns=0, to_ns=1000)
        assert [(part.state, part.x, part.width) for part in one.stretches] == [
            ("closed", 0.0, 400.0),
            ("closed", 700.0, 300.0),
            ("open", 400.0, 300.0),
        ]

    def test_shows_the_shortest_trip_and_stays_within_its_frame(self):
        changes = [self.change("closed", "open", 10**9)]
        one = breaker_card(Known("x", "open", 10**9, trips=1), changes, from_ns=0, to_ns=10**9)
        last = one.stretches[-1]
        assert last.width >= 1
        assert last.x + last.width <= WIDE

    def test_without_a_change_says_what_is_known(self):
        one = breaker_card(Known("x", "open", 500, shared=True), (), from_ns=0, to_ns=1000)
        assert [(part.state, part.width) for part in one.stretches] == [("unknown", 500.0), ("open", 500.0)]

    def test_of_a_state_of_strangers_draws_it_as_unknown(self):
        one = breaker_card(Known("x", "<b>", 5), [self.change("?", '"><b>', 5)], from_ns=0, to_ns=10)
        assert {part.state for part in one.stretches} == {"unknown"}


class TestWords:
    def test_a_path_loses_its_occurrences_and_nothing_else(self):
        assert bare("a/b[3]/c[1]") == "a/b/c"
        assert bare("a[x]/b[1]x") == "a[x]/b[1]x"

    def test_a_rate_of_nothing_claims_nothing(self):
        assert (rate(0, 0).text, rate(0, 0).low, rate(0, 0).high) == ("", 0.0, 100.0)

    @pytest.mark.parametrize(("value", "words"), [(0.0, "0 %"), (0.004, "0.4 %"), (0.5, "50 %"), (0.996, "99.6 %")])
    def test_percents_say_what_whole_numbers_would_hide(self, value, words):
        assert percent(value) == words


class TestWhatIsKeptForAMoment:
    def test_is_read_again_only_when_it_has_grown_old(self):
        now, reads = [0.0], []

        def read_it() -> int:
            now[0] += 1.0
            reads.append(1)
            return len(reads)

        recent = Recent(clock=lambda: now[0])
        assert [recent.get("a", read_it), recent.get("a", read_it)] == [1, 1]
        now[0] += 10.5
        assert recent.get("a", read_it) == 2

    def test_is_nothing_where_reading_failed(self):
        recent = Recent()

        def fails() -> int:
            raise OSError

        with pytest.raises(OSError):
            recent.get("a", fails)
        assert recent.get("a", lambda: 3) == 3
