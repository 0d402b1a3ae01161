"""The page of health: what is recorded, what the store holds, and where each setting came from."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import fields
from typing import Iterator

import pytest
from fastapi.testclient import TestClient

import tracer
from tests import recording
from tests.recording import Project
from tests.tracer import test_outage
from tests.tracer.test_outage import Gate, Start
from tests.web import routing
from tests.web.conftest import viewer
from tests.web.html import read
from tracer import Keep
from tracer.config import Config, from_environment, sources
from tracer.retention.pruning import prune
from tracer.retention.rules import Retention
from tracer.store.tables import REVISION
from web import create_app
from web.view.settings import words

project = recording.project
gate = test_outage.gate
start = test_outage.start

RECORDING = (
    "import tracer\n"
    "from tracer import workflow\n"
    "workflow(name='flow')(lambda: 1)()\n"
    "assert tracer.flush()\n"
    "say('written')\n"
)


@pytest.fixture
def client(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("PLAYHEAD_SAMPLE_RATE", "1")
    tracer.configure(keep=1.0)
    routing.support({})
    assert tracer.flush()
    with viewer(create_app(str(project.home / "playhead.db"))) as opened:
        yield opened


def eventually(client: TestClient, name: str) -> int:
    """A count of recording, once the process has told it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := client.get("/health.json").json()["recording"][name]:
            return int(found)
        time.sleep(0.05)
    return 0


class TestThePage:
    def test_says_what_another_process_wrote_and_that_nothing_was_refused(self, client, start: Start):
        child = start(RECORDING)
        assert child.hear() == "written"
        written = eventually(client, "written_events")
        assert written > 0
        page = read(client.get("/health").text)
        assert "All is well" in page.text
        assert f"events written {written}" in page.classed("big")[0].text
        assert client.get("/health.json").json()["recording"]["refused_traces"] == 0

    def test_says_what_the_store_holds_and_whether_its_schema_is_ours(self, client):
        page = read(client.get("/health").text).text
        assert f"revision {REVISION}, that of this program" in page
        assert client.get("/health.json").json()["store"]["traces"] == 1

    def test_says_so_where_the_schema_is_another_ones(self, client, project):
        with closing(sqlite3.connect(project.home / "playhead.db", isolation_level=None)) as other:
            other.execute("UPDATE alembic_version SET version_num = '9999'")
        assert f"revision 9999, this program's is {REVISION}" in read(client.get("/health").text).text

    def test_lists_every_setting_with_who_said_so(self, client):
        told = client.get("/health.json").json()["settings"]
        assert set(told) == {each.name for each in fields(Config)}
        assert (told["keep"]["source"], told["home"]["source"]) == ("configure()", "PLAYHEAD_HOME")
        assert told["sample"] == {"value": "100 % of the traces", "source": "PLAYHEAD_SAMPLE_RATE"}
        assert told["capture"] == {"value": "everything", "source": "default"}
        rows = [row.text for row in read(client.get("/health").text).all("table")[-1].all("tr")]
        assert "sample 100 % of the traces PLAYHEAD_SAMPLE_RATE" in rows

    def test_what_stays_is_said_with_the_last_prune(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "deleted nothing by itself" in read(client.get("/health").text).text
        monkeypatch.setenv("PLAYHEAD_RETENTION_DAYS", "30")
        prune(client.app.state.site.store, Retention(), now_ns=0)
        page = read(client.get("/health").text).text
        assert "deleted what playhead prune takes by PLAYHEAD_RETENTION_DAYS; last pruned" in page
        assert "ago, 0 traces" in page

    def test_says_whether_anything_may_be_run(self, client, project):
        assert "replays and changes allowed" in read(client.get("/health").text).text
        with viewer(create_app(str(project.home / "playhead.db"), replays=False)) as only_reads:
            assert "refused: started with --read-only" in read(only_reads.get("/health").text).text

    def test_outlives_a_store_that_is_away(self, gate: tuple[Gate, str]) -> None:
        server, url = gate
        with viewer(create_app(url)) as away:
            server.shut()
            answer = away.get("/health")
            assert answer.status_code == 503
            assert "check that the server runs" in answer.text
            assert "Settings" in answer.text


class TestWhereASettingComesFrom:
    def test_is_known_of_every_setting(self):
        assert set(sources({})) == {each.name for each in fields(Config)}
        assert set(sources({}).values()) == {"default"}

    def test_is_configure_before_the_environment(self):
        env = {"PLAYHEAD_CAPTURE_CONTENT": "1", "PLAYHEAD_KEEP_RATE": "0.5"}
        found = sources(env, capture_content=False)
        assert (found["capture_content"], found["keep"], found["sample"]) == (
            "configure()",
            "PLAYHEAD_KEEP_RATE",
            "default",
        )

    def test_of_an_empty_variable_is_the_default(self):
        assert sources({"PLAYHEAD_SAMPLE_RATE": " "})["sample"] == "default"
        assert from_environment({"PLAYHEAD_SAMPLE_RATE": " "}).sample == 1.0

    def test_of_the_home_is_the_database_where_it_lies_beside_it(self, tmp_path):
        env = {"PLAYHEAD_DATABASE_URL": str(tmp_path / "x.db")}
        assert sources(env)["home"] == "the database's folder"
        assert from_environment(env).home == tmp_path
        assert sources({"PLAYHEAD_DATABASE_URL": "postgresql://db/x"})["home"] == "default"


class TestASettingInWords:
    def test_shows_no_password_and_no_pattern_of_redaction(self):
        assert "secret" not in words("database_url", "postgresql://ann:secret@db/x")
        assert words("redact", (("mine", "s3cret-\\d+"),)) == "1 rule beside the built-in ones"

    def test_says_which_traces_stay(self):
        assert words("keep", Keep()) == "every trace"
        assert words("keep", Keep(0.1, slow_s=5)) == "10 % of those that ended well; all others; all slower than 5 s"
