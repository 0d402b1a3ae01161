from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from tests import recording
from tests.recording import Project
from tracer.catalogue import FREE, Catalogue, Price, Target, targets_of
from tracer.errors import ConfigError, UnknownModel

#: Every test here records into a project of its own.
project = recording.project


class Engine:
    """A local model that counts how often it was started and stopped; ``refusals`` times it does not start."""

    def __init__(self, url: str = "http://127.0.0.1:9/v1", *, refusals: int = 0) -> None:
        self.url = url
        self.started = self.stopped = 0
        self.refusals = refusals

    def start(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("not yet")
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1


class TestNames:
    def test_the_short_forms_are_targets(self) -> None:
        def answer(request: Any) -> str:
            return "hi"

        one, two, three = targets_of(
            {"fn": answer, "url": "http://localhost:1/v1", "whole": Target("small", price=FREE)}
        )
        assert (one.call, one.name) == (answer, "fn")
        assert (two.url, two.asked_as) == ("http://localhost:1/v1", "url")
        assert (three.name, three.asked_as, three.price) == ("whole", "small", FREE)
        assert targets_of([Target("a")]) == [Target("a")]

    @pytest.mark.parametrize("wrong", [{"m": 5}, {"m": "gpt-4o"}, {"m": None}, ["gpt-4o"], [print]])
    def test_anything_else_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match="must be a Target"):
            targets_of(wrong)

    def test_an_unknown_name_is_told_the_known_ones(self) -> None:
        catalogue = Catalogue([Target("small"), Target("large")])
        assert catalogue.get("small").name == "small"
        assert "small" in catalogue
        with pytest.raises(UnknownModel, match=r"no model named 'medium' .*known: large, small"):
            catalogue.get("medium")
        with pytest.raises(UnknownModel, match="none is configured"):
            Catalogue().get("x")

    def test_a_price_is_found_by_either_name(self) -> None:
        catalogue = Catalogue([Target("mine", model="org/theirs", price=Price(1, 2))])
        assert catalogue.price_of("mine") == catalogue.price_of("org/theirs") == Price(1, 2)
        assert catalogue.price_of("other") is None
        assert catalogue.price_of(None) is None

    def test_credentials_come_from_the_environment_at_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        target = Target("m", api_key_env="SOME_KEY")
        assert target.headers() == {}
        monkeypatch.setenv("SOME_KEY", "k")
        assert target.headers() == {"authorization": "Bearer k"}
        assert "k" not in repr(target).replace("SOME_KEY", "").replace("api_key_env", "")[-1:]


class TestLaunchers:
    def test_many_threads_start_it_once_and_the_end_stops_it_once(self) -> None:
        engine = Engine()
        catalogue = Catalogue([Target("a", launcher=engine), Target("b", launcher=engine)])
        url = "http://127.0.0.1:9/v1/chat/completions"
        assert not catalogue.is_reachable(url)
        threads = [threading.Thread(target=catalogue.make_reachable, args=(url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (engine.started, catalogue.is_reachable(url)) == (1, True)
        catalogue.stop()
        catalogue.stop()
        assert engine.stopped == 1

    def test_one_that_did_not_start_is_started_at_the_next_call(self) -> None:
        engine = Engine(refusals=1)
        catalogue = Catalogue([Target("a", launcher=engine)])
        with pytest.raises(OSError, match="not yet"):
            catalogue.make_reachable(engine.url)
        catalogue.make_reachable(engine.url)
        assert engine.started == 1
        catalogue.stop()

    def test_what_is_not_ours_to_start_is_reachable(self) -> None:
        catalogue = Catalogue([Target("a", base_url="http://localhost:1/v1")])
        for url in ("http://localhost:1/v1", "https://elsewhere.example/v1"):
            assert catalogue.is_reachable(url)
            catalogue.make_reachable(url)

    def test_a_forked_child_leaves_it_running(self, project: Project) -> None:
        mark = project.folder / "stopped"

        class Marking(Engine):
            def stop(self) -> None:
                mark.write_text(str(os.getpid()))

        catalogue = Catalogue([Target("a", launcher=Marking())])
        catalogue.make_reachable("http://127.0.0.1:9/v1")
        child = os.fork()
        if child == 0:
            catalogue.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert not mark.exists()
        catalogue.stop()
        assert mark.read_text() == str(os.getpid())
