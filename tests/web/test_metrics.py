"""``/metrics``: what a Prometheus server gets, over HTTP, from recorders and stores that are real."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

import tracer
from tests import recording
from tests.otlp_spans import BEGAN_NS, a_span
from tests.recording import Project
from tests.sources import REPOSITORY
from tests.tracer import test_outage
from tests.tracer.test_outage import Gate, Start
from tests.web import routing
from tests.web.conftest import Seeded, viewer
from tracer.doctor import Recording
from tracer.guard import REFUSED
from tracer.health import Kept, Status
from tracer.metrics import families
from tracer.metrics.exposition import exposition
from tracer.metrics.families import Family
from tracer.metrics.recorders import Risen
from tracer.otlp import protobuf_out
from tracer.otlp.span import Span
from tracer.store import open_store
from web import create_app

project = recording.project
gate = test_outage.gate
start = test_outage.start

Samples = dict[tuple[object, ...], float]
FAMILIES = [each for each in vars(families).values() if isinstance(each, Family)]
RECORDING = (
    "import tracer\n"
    "from tracer import workflow\n"
    "workflow(name='flow')(lambda: 1)()\n"
    "assert tracer.flush()\n"
    "say('written')\n"
)


def scraped(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(answer.text)


def samples(text: str) -> Samples:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(client: TestClient, holds: Callable[[Samples], object]) -> Samples:
    deadline = time.monotonic() + 20
    while not holds(found := scraped(client)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    routing.support({})
    assert tracer.flush()
    with viewer(create_app(str(project.home / "playhead.db"))) as opened:
        yield opened


class TestThePage:
    def test_counts_what_was_recorded(self, client):
        done = ("playhead_runs_total", ("status", "completed"), ("workflow", "support"))
        found = until(client, lambda found: done in found)
        assert found[done] == 1
        assert found["playhead_store_up",] == 1
        assert found["playhead_uncounted_runs",] == 0

    def test_tells_every_family_with_its_help_and_type(self, client):
        text = client.get("/metrics").text
        told = {(family.name, family.type) for family in text_string_to_metric_families(text)}
        assert told == {(each.name.removesuffix("_total"), each.kind) for each in FAMILIES}
        assert text.count("# HELP ") == text.count("# TYPE ") == len(FAMILIES)

    def test_is_read_whole_by_prometheus_from_a_store_of_all_kinds(self, seeded: Seeded):
        found = samples(seeded.page("/metrics"))
        assert {key[0] for key in found} >= {
            "playhead_fallbacks_total",
            "playhead_retries_total",
            "playhead_escalations_total",
            "playhead_tokens_total",
            "playhead_cost_dollars_total",
            "playhead_model_call_duration_seconds_bucket",
        }

    def test_keeps_the_rules_of_every_page(self, seeded: Seeded):
        with viewer(create_app(seeded.store, token="hush")) as guarded:
            assert guarded.get("/metrics").status_code == 401
            assert guarded.get("/metrics", headers={"authorization": "Bearer hush"}).status_code == 200
        assert seeded.client.get("/metrics", headers={"host": "evil.example"}).status_code == 421

    def test_says_that_the_store_is_away_and_leaves_out_what_it_counted(self, gate: tuple[Gate, str]):
        server, url = gate
        with viewer(create_app(url)) as away:
            assert scraped(away)["playhead_store_up",] == 1
            server.shut()
            found = scraped(away)
        assert found["playhead_store_up",] == 0
        assert found["playhead_recorder_processes",] == 0
        assert not [key for key in found if str(key[0]).startswith("playhead_runs")]


class TestTheRecorders:
    def test_tell_what_another_process_wrote(self, client, start: Start):
        child = start(RECORDING)
        assert child.hear() == "written"
        found = until(client, lambda found: found["playhead_recorder_written_events_total",])
        assert found["playhead_recorder_processes",] >= 1
        assert found["playhead_recorder_refused_traces_total",] == 0

    def test_have_written_no_less_when_a_process_ends(self):
        risen = Risen()
        one = look(risen, {"a": Status(written_events=5), "b": Status(written_events=7)})
        other = look(risen, {"b": Status(written_events=8)})
        third = look(risen, {"b": Status(written_events=8), "c": Status(written_events=2)})
        assert [found["playhead_recorder_written_events_total",] for found in (one, other, third)] == [12, 13, 15]

    def test_count_a_refusal_once_on_its_way_from_a_process_to_what_is_kept_of_it(self):
        risen, counts = Risen(), {REFUSED: 3, "record a step": 1}
        alive = look(risen, {"a": Status(degraded=counts)})
        between = look(risen, {}, dead=("a",))
        kept = look(risen, {}, kept=counts)
        forgotten = look(risen, {})
        again = look(risen, {"b": Status(degraded={REFUSED: 1})})
        found = [each["playhead_recorder_refused_traces_total",] for each in (alive, between, kept, forgotten, again)]
        assert found == [3, 3, 3, 3, 4]
        assert again["playhead_recorder_degraded_total", ("what", "record a step")] == 1

    def test_tell_what_waits_and_for_how_long(self):
        now_ns = 10**12
        statuses = {
            "a": Status(queued_events=5, queued_bytes=100, behind_since_ns=now_ns - 3 * 10**9),
            "b": Status(queued_events=1, queued_bytes=10, behind_since_ns=now_ns - 2 * 10**9),
        }
        found = look(Risen(), statuses, at_ns=now_ns)
        assert found["playhead_recorder_queued_events",] == 6
        assert found["playhead_recorder_queued_bytes",] == 110
        assert found["playhead_recorder_behind_seconds",] == 3


def look(
    risen: Risen,
    living: dict[str, Status],
    *,
    dead: tuple[str, ...] = (),
    kept: dict[str, int] | None = None,
    at_ns: int = 0,
) -> Samples:
    seen = Recording(living, dead, 0, (), Kept(kept or {}), at_ns)
    return samples(exposition(risen.look(seen)))


DASHBOARD = json.loads((REPOSITORY / "docs" / "monitoring" / "grafana.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]]
VARIABLES = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
#: A metric with what stands in the braces behind it.
SELECTOR = re.compile(r"(playhead_\w+)(?:\{([^}]*)\})?")


def labels_by_name() -> dict[str, set[str]]:
    """What each sample of ours is called, and the labels it is told apart by."""
    found = {}
    for family in FAMILIES:
        plain = set(family.labels)
        if family.kind == "histogram":
            found |= {f"{family.name}_bucket": plain | {"le"}, f"{family.name}_sum": plain}
            found[f"{family.name}_count"] = plain
        else:
            found[family.name] = plain
    return found


class TestTheDashboard:
    @pytest.mark.parametrize(("title", "query", "legend"), QUERIES, ids=range(len(QUERIES)))
    def test_asks_for_what_there_is_by_labels_that_it_has(self, title, query, legend):
        known = labels_by_name()
        selectors = SELECTOR.findall(query)
        assert selectors, title
        for name, inside in selectors:
            assert name in known, title
            assert set(re.findall(r"(\w+)\s*[=!]~?", inside)) <= known[name], title
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
        assert all(grouped <= known[name] for name, _ in selectors), title
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped - {"le"}, title

    def test_asks_for_every_metric_that_there_is(self):
        asked = {name for _, query, _ in QUERIES for name, _ in SELECTOR.findall(query)}
        unused = [each.name for each in FAMILIES if not any(name.startswith(each.name) for name in asked)]
        assert unused == []

    def test_lets_one_choose_a_workflow_by_a_label_that_there_is(self):
        assert VARIABLES == ["label_values(playhead_runs_total, workflow)"]
        assert "workflow" in labels_by_name()["playhead_runs_total"]

    def test_finds_its_names_in_an_answer(self, client):
        """Not only among the families that are declared: in what a server really gets."""
        names = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
        for _, query, _ in QUERIES:
            for name, _ in SELECTOR.findall(query):
                assert re.sub(r"_(total|bucket|sum|count)$", "", name) in names

    def test_lays_its_panels_side_by_side(self):
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(set(ids)) == len(ids)


class TestSpansOfOthers:
    """Children are sent before their parents: an agent's first call is there minutes before its end."""

    @pytest.fixture
    def here(self, tmp_path: Path) -> Iterator[Callable[..., float | None]]:
        tracer.configure(home=tmp_path)
        with open_store(tmp_path / "playhead.db") as store:
            app = create_app(store)
            with viewer(app) as client:

                def agents(*spans: Span, minute: int) -> float | None:
                    """How many runs of the agent are counted at that minute, once these spans have been sent."""
                    if spans:
                        body, headers = protobuf_out.write(spans), {"content-type": "application/x-protobuf"}
                        assert client.post("/v1/traces", content=body, headers=headers).status_code == 200
                    app.state.site.metrics.metering.now_ns = lambda: BEGAN_NS + minute * 60 * 10**9
                    found = scraped(client)
                    return sum(number for key, number in found.items() if key[0] == "playhead_runs_total")

                yield agents

    def test_are_counted_when_the_whole_is_there(self, here):
        assert here(a_span(2, parent=1), minute=1) == 0
        assert here(a_span(3, parent=1), minute=14) == 0
        assert here(a_span(1), minute=15) == 1

    def test_are_counted_all_the_same_when_their_parent_never_comes(self, here):
        assert here(a_span(2, parent=1), minute=14) == 0
        assert here(minute=16) == 1
