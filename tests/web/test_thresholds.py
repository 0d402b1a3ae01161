"""The tuning curve in the viewer: what is drawn, the slider, and the form that tries a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

import tracer
from router.registry import Registry
from router.tuning.curve import curve
from router.tuning.observed import Observed
from router.tuning.tune import tune
from tests.web import routing
from tests.web.conftest import HERE, viewer
from tests.web.html import Node, read
from tracer import Price, Target, recorder
from tracer.store import open_store
from web import create_app
from web.pages.thresholds import Asked
from web.view.tuning import drawing

OURS = {"origin": HERE, "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("thresholds")
    url = f"sqlite:///{home / 'playhead.db'}"
    known = recorder.catalogue()._targets
    before = dict(known)
    models = [Target("cheap", price=Price(1, 1)), Target("dear", price=Price(50, 50))]
    tracer.configure(database_url=url, home=home, models=models)
    routing.cascade(60)
    assert tracer.flush()
    yield url
    tracer.shutdown()
    known.clear()
    known.update(before)
    recorder._overrides.clear()


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with viewer(create_app(url)) as opened:
        yield opened


@pytest.fixture
def roles(url: str) -> Iterator[tuple[Registry, str]]:
    """A registry, and a role of it that no other test has."""
    registry = Registry(url)
    name = f"role-{len(registry.entries())}"
    registry.set(name, production="cheap", because="the first")
    yield registry, name
    registry.close()


def told(client: TestClient, **query: str) -> Any:
    return client.get("/thresholds.json", params={"scorer": "label:gold", **query}).json()


def send(client: TestClient, headers: dict[str, str] | None = None, **fields: str) -> Any:
    page = read(client.get("/thresholds", params={"accept": "0.5"}).text)
    form = page.all("form", method="post")[0]
    sent = {node.attrs["name"]: node.attrs["value"] for node in form.all("input", type="hidden")}
    return client.post(
        "/thresholds", data={**sent, "share": "10", **fields}, headers=headers or OURS, follow_redirects=False
    )


def chosen(client: TestClient, **query: str) -> Node:
    (found,) = read(client.get("/thresholds", params=query).text).all("section", id="at")
    return found


class TestTheCascades:
    def test_are_found_with_what_they_are_scored_by(self, client):
        found = client.get("/thresholds.json").json()
        assert found["cascades"] == [{"workflow": "solve", "step": "cascade", "runs": 60}]
        assert found["scorers"] == ["label:gold"]

    def test_are_none_in_a_store_without(self, tmp_path):
        with viewer(create_app(str(tmp_path / "none.db"))) as client:
            assert "No cascade was recorded" in client.get("/thresholds").text
            assert client.get("/thresholds.json").json()["tuning"] is None

    def test_that_are_not_there_are_said_not_to_be(self, client):
        answer = client.get("/thresholds", params={"workflow": "solve", "step": "nothing", "scorer": "label:gold"})
        assert "nothing" in read(answer.text).classed("banner")[0].text

    def test_are_scored_by_no_code(self, client):
        answer = client.get("/thresholds", params={"scorer": "os:getcwd"})
        assert "is code, which no page runs" in read(answer.text).classed("banner")[0].text
        assert told(client, scorer="os:getcwd")["tuning"] is None


class TestTheCurve:
    def test_is_drawn_where_it_is_known_and_hatched_where_nobody_knows(self, client):
        (art,) = read(client.get("/thresholds").text).classed("curve")
        assert len(art.classed("curve-line")) == 2
        unknown = art.classed("unknown")
        assert unknown
        titles = [node.text for node in art.all("title")]
        assert sum("had no chance to be" in title for title in titles) == len(unknown)

    def test_has_the_figures_of_the_command(self, client, url):
        with open_store(url) as store:
            found = tune("solve", "cascade", scorer="label:gold", quality_floor=0.3, store=store).as_json()
        shown = told(client, goal="floor", value="0.3")["tuning"]
        assert shown["points"] == [{**point} for point in found["points"]]
        assert shown["recommendation"]["accept"] == found["recommendation"]["accept"]

    def test_says_how_to_see_what_nobody_saw(self, client):
        assert "--fill" in read(client.get("/thresholds").text).classed("told")[0].text


class TestTheSlider:
    def test_shows_cost_and_quality_of_any_threshold_with_intervals(self, client):
        one = chosen(client, accept="0.333")
        assert one.all("h2")[0].text == "accept 0.333"
        words = {div.all("dt")[0].text: div.all("dd")[0].text for div in one.all("div")}
        assert " to " in words["quality"]
        assert words["cost of a run"].startswith("$")
        assert told(client, accept="0.333")["at"]["accept"] == 0.333

    def test_says_of_what_nobody_saw_that_it_is_not_identified(self, client):
        one = chosen(client, accept="0.9")
        assert "Not identified." in one.text
        assert "quality" not in [node.text for node in one.all("dt")]

    def test_begins_at_what_is_recommended_or_else_in_force(self, client):
        assert chosen(client).all("h2")[0].text == "accept 0.6"
        wanted = told(client, goal="floor", value="0.3")["tuning"]["recommendation"]["accept"]
        assert chosen(client, goal="floor", value="0.3").all("h2")[0].text == f"accept {wanted:g}"

    @pytest.mark.parametrize("accept", ["nan", "-1", "much", "1e400", "<b>"], ids=["nan", "less", "word", "inf", "tag"])
    def test_passes_over_what_is_no_threshold(self, client, accept):
        assert chosen(client, accept=accept).all("h2")[0].text == "accept 0.6"

    def test_gives_its_part_of_the_page_alone_to_who_asks_for_it(self, client):
        answer = client.get("/thresholds", params={"accept": "0.4"}, headers={"x-fragment": "at"})
        assert answer.text.strip().startswith('<section id="at"')
        assert "accept 0.4" in read(answer.text).text


class TestTrying:
    def test_makes_the_threshold_the_canary_of_a_role(self, client, roles):
        registry, name = roles
        answer = send(client, role=name, by="ann", share="20")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/canaries#role-{name}")
        role = registry.entries()[name].role
        assert (role.canary.target, role.canary.settings, role.share) == ("cheap", {"accept": 0.5}, 20)
        assert "accept 0.5" in registry.history(name)[-1].because

    def test_of_a_role_with_a_canary_is_not_offered_and_refused(self, client, roles):
        registry, name = roles
        registry.set(name + "-free", production="cheap")
        registry.set(name, canary="dear", share=5)
        page = read(client.get("/thresholds").text)
        assert name not in [option.text for option in page.all("option")]
        answer = send(client, role=name)
        assert (answer.status_code, "has a canary already" in read(answer.text).text) == (422, True)

    def test_needs_our_form_and_a_share_that_can_be(self, client, roles):
        registry, name = roles
        assert send(client, role=name, csrf="guessed").status_code == 403
        assert send(client, role=name, share="much").status_code == 422
        assert send(client, role=name, share="120").status_code == 422
        assert send(client, {"origin": "http://evil.example"}, role=name).status_code == 403
        assert registry.entries()[name].role.canary is None

    def test_is_refused_by_a_viewer_that_only_reads(self, url, roles):
        registry, name = roles
        with viewer(create_app(url, replays=False)) as client:
            assert send(client, role=name).status_code == 403
        assert registry.entries()[name].role.canary is None


RUNS = st.builds(
    lambda confidence, asked, good: Observed(
        "t", confidence, asked, 1.0 if asked else 0.0, good, good if asked else None, 10, 50 if asked else None, 0.5
    ),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 1.0]),
)


class TestADrawing:
    @given(st.lists(RUNS, min_size=1, max_size=30), st.floats(0, 2))
    def test_stays_within_its_frame_whatever_was_observed(self, runs, accept):
        art = drawing(curve(runs), accept, None)
        assert art.left <= art.cursor <= art.right
        for x, width, _ in art.unknown:
            assert art.left <= x <= x + width <= art.right + 0.2
        for frame in art.frames:
            for x, y, _ in frame.dots:
                assert art.left <= x <= art.right
                assert frame.y - 0.1 <= y <= frame.y + frame.height + 0.1

    def test_of_what_costs_nothing_has_one_line_at_nothing(self):
        free = [Observed("t", at / 9, True, 1.0, 1.0, 1.0, 0, 0, 0.5) for at in range(9)]
        (_, cost) = drawing(curve(free), 0.5, None).frames
        assert [words for _, words in cost.ticks] == ["$0"]


class TestTheQuery:
    @given(st.dictionaries(st.sampled_from(["workflow", "step", "scorer", "goal", "value", "accept"]), st.text()))
    def test_of_any_text_is_read_and_carried_along(self, values):
        asked = Asked.of(values)
        assert Asked.of(dict(asked.kept)).kept == asked.kept
        assert asked.number("accept") is None or asked.number("accept") >= 0
