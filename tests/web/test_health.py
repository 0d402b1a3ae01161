"""What the viewer says when recording is in trouble, which happens in other processes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Iterator

import pytest
from fastapi.testclient import TestClient

from tests import recording
from tests.recording import Project
from tests.tracer import test_outage
from tests.tracer.test_outage import Gate, Start
from tests.web.conftest import viewer
from tests.web.html import read
from web import create_app

#: Every test here records into a project of its own.
project = recording.project
start = test_outage.start
gate = test_outage.gate

REFUSING = (
    "from tracer import workflow\n"
    "from tracer.guard import report\n"
    "flow = workflow(name='flow')(lambda x: len(x))\n"
    "for _ in range(30): flow('x' * 100_000)\n"
    "for _ in range(3): report('count <three>', 'two')\n"
    "say('full')\n"
)


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    with viewer(create_app(str(project.home / "playhead.db"))) as opened:
        yield opened


class TestWithoutTrouble:
    def test_no_page_says_a_word(self, client: TestClient) -> None:
        assert read(client.get("/").text).classed("alert") == []
        assert "All is well" in client.get("/about").text
        told = json.loads(client.get("/about.json").text)["recording"]
        assert (told["refused_traces"], told["queued_events"], told["problems"]) == (0, 0, [])


class TestTrouble:
    @pytest.fixture
    def in_trouble(self, project: Project, start: Start, client: TestClient) -> Iterator[TestClient]:
        """The viewer of a home in which a process can't write to its store and has filled its journal."""
        url = f"sqlite:///{project.home / 'playhead.db'}"
        with closing(sqlite3.connect(project.home / "playhead.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            child = start(REFUSING, PLAYHEAD_DATABASE_URL=url, PLAYHEAD_JOURNAL_CAP_MB="1")
            assert child.hear() == "full"
            yield client

    @pytest.mark.parametrize("path", ["/", "/about", "/nowhere"])
    def test_is_one_line_on_every_page(self, in_trouble: TestClient, path: str) -> None:
        (alert,) = read(in_trouble.get(path).text).classed("alert")
        assert "traces refused: the journal was full · 3 failures to record" in alert.text
        assert alert.all("a", href="/about#health")
        assert alert.attrs["role"] == "status"

    def test_is_told_in_full_on_about(self, in_trouble: TestClient) -> None:
        (table,) = read(in_trouble.get("/about").text).classed("health")
        assert "count <three>: 3" in table.text
        assert "traces were refused because the journal was full" in in_trouble.get("/about").text
        told = json.loads(in_trouble.get("/about.json").text)["recording"]
        assert told["degraded"]["count <three>"] == 3
        assert len(told["processes"]) == 1

    def test_outlives_the_process_until_it_is_forgotten(
        self, project: Project, start: Start, client: TestClient
    ) -> None:
        child = start(REFUSING)
        assert child.hear() == "full"
        child.kill()
        (alert,) = read(client.get("/").text).classed("alert")
        assert "3 failures to record" in alert.text
        assert "processes that are gone" in client.get("/about").text


class TestAStoreThatIsAway:
    def test_does_not_take_the_health_table_with_it(self, gate: tuple[Gate, str]) -> None:
        server, url = gate
        with viewer(create_app(url)) as client:
            assert client.get("/about").status_code == 200
            server.shut()
            answer = client.get("/about")
            assert answer.status_code == 503
            assert "check that the server runs" in answer.text
            assert "All is well" in answer.text
            assert "check that the server runs" in json.loads(client.get("/about.json").text)["problem"]
