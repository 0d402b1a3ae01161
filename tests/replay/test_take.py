"""What a test from a cassette stands on: recording elsewhere for a while, players that give way, no network."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

import tracer
from replay.cassette.network import NetworkRefused, refused
from replay.cassette.settled import settled
from replay.cassette.take import Asked
from tracer import recorder, workflow
from tracer.player import Run
from tracer.store import open_store
from tracer.wire import Chunk, HttpRequest, HttpResponse

#: A network that documentation has to itself: nobody answers there.
NOWHERE = "192.0.2.1"


@workflow
def flow(value: Any) -> Any:
    return value


class Counting:
    """A player that lets everything run, and counts."""

    stopped = None

    def __init__(self) -> None:
        self.asked = 0

    def about(self) -> dict[str, Any]:
        return {}

    def decide(self, call: Any) -> Run:
        self.asked += 1
        return Run()

    def value(self, step_id: str, name: str, occurrence: int, make: Any) -> Any:
        return make()

    def finished(self, step_id: str, *, call: Any, at_ns: int) -> None:
        pass


class TestRecordingElsewhere:
    def test_is_over_afterwards(self, recorded, tmp_path):
        flow(1)
        with recorder.elsewhere(database_url=str(tmp_path / "b.db"), home=tmp_path / "b", enabled=True):
            flow(2)
        flow(3)
        tracer.flush()
        with open_store(recorded.url) as here, open_store(tmp_path / "b.db") as there:
            assert (len(here.traces()), len(there.traces())) == (2, 1)

    def test_leaves_settings_that_come_from_the_environment_to_it(self, monkeypatch, tmp_path):
        with recorder.elsewhere(sample=0.5):
            assert recorder.current_config().sample == 0.5
        monkeypatch.setenv("PLAYHEAD_SAMPLE_RATE", "0.25")
        assert recorder.current_config().sample == 0.25

    def test_ends_with_an_error_as_well(self, tmp_path):
        before = recorder.current_config()
        with pytest.raises(ValueError, match="mine"), recorder.elsewhere(home=tmp_path / "c"):
            raise ValueError("mine")
        assert recorder.current_config() == before


class TestAHeldPlayer:
    def test_is_back_when_one_inside_it_lets_go(self, recorded):
        outer, inner = Counting(), Counting()
        with recorder.hold(outer):
            with recorder.hold(inner):
                flow(1)
            flow(2)
            flow(3)
        flow(4)
        assert (outer.asked, inner.asked) == (2, 1)


class TestTheNetwork:
    def test_is_refused_on_every_thread_and_what_was_tried_is_known(self):
        raised: list[BaseException] = []

        def connect() -> None:
            try:
                socket.create_connection((NOWHERE, 80), timeout=1)
            except BaseException as error:  # noqa: BLE001 - a stop is none of the others
                raised.append(error)

        with refused("ask nobody") as refusal:
            thread = threading.Thread(target=connect)
            thread.start()
            thread.join()
        assert [type(error) for error in raised] == [NetworkRefused]
        assert refusal.tried == [f"{NOWHERE}:80"]

    def test_is_refused_before_a_name_is_looked_up(self):
        with refused("ask nobody"), pytest.raises(NetworkRefused, match=r"model.invalid:443 was refused: ask nobody"):
            socket.getaddrinfo("model.invalid", 443)

    def test_is_refused_to_datagrams(self):
        with (
            refused("ask nobody"),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            pytest.raises(NetworkRefused),
        ):
            datagrams.sendto(b"?", (NOWHERE, 53))

    def test_of_this_machine_is_open(self, server):
        host, port = server.url.split("/")[2].split(":")
        with refused("ask nobody"):
            socket.create_connection((host, int(port)), timeout=10).close()

    def test_is_open_again_afterwards(self, monkeypatch):
        with refused("ask nobody") as refusal:
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect((NOWHERE, 53))  # sends nothing
        assert refusal.tried == []


class TestASettledExchange:
    def test_has_no_header_of_one_moment(self):
        said = HttpResponse(
            200,
            (
                *(("Date", "now"), ("x-request-id", "1"), ("anthropic-ratelimit-tokens-remaining", "5")),
                *(("x-ratelimit-reset-requests", "1s"), ("openai-processing-ms", "9"), ("cf-ray", "a")),
                *(("content-type", "text/plain"), ("retry-after", "3"), ("server", "x")),
            ),
            (),
        )
        assert [name for name, _ in settled(said).headers] == ["content-type", "retry-after", "server"]

    @pytest.mark.parametrize(
        ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=["gzip", "deflate"]
    )
    def test_is_not_compressed_and_in_one_piece(self, encoding, compress):
        data = compress(b"hello")
        chunks = (Chunk(3, data[:4]), Chunk(9, data[4:]))
        said = HttpResponse(200, (("content-encoding", encoding), ("content-length", "25")), chunks)
        assert settled(said) == HttpResponse(200, (), (Chunk(0, b"hello"),))

    @pytest.mark.parametrize(
        "data",
        [gzip.compress(b"hello")[:-4], b"no gzip", gzip.compress(b"a") + b"b"],
        ids=["torn", "none", "followed"],
    )
    def test_stays_as_it_came_where_it_can_not_be_unpacked_whole(self, data):
        said = HttpResponse(200, (("content-encoding", "gzip"),), (Chunk(1, data),))
        assert settled(said).raw == data
        assert settled(said).headers == said.headers

    def test_of_a_request_keeps_what_was_asked(self):
        said = HttpRequest("POST", "http://a/b", (("traceparent", "00-1"), ("accept", "*/*")), {"a": 1})
        assert settled(said) == HttpRequest("POST", "http://a/b", (("accept", "*/*"),), {"a": 1})


class TestTheFilesOfATest:
    def test_are_numbered_from_the_second_on_and_end_at_a_gap(self, tmp_path):
        asked = Asked(tmp_path / "a.json", "test", "none")
        for name in ("a.json", "a-2.json", "a-4.json"):
            Path(tmp_path / name).touch()
        assert [path.name for path in asked.files()] == ["a.json", "a-2.json"]
        assert asked.numbered(3).name == "a-4.json"
