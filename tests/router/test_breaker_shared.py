"""One breaker in several processes: real ones, through a real store."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from router import Breaker, CircuitOpen, Consecutive
from router.breaker.sharing import PREFIX
from router.mirror import Mirror
from tests.recording import ROOT
from tracer.guard import degraded
from tracer.store import Store, open_store

#: What another process does at our word, one line for each answer.
OTHER = """
import sys
from router import Breaker, CircuitOpen, Consecutive
one = Breaker("a", trip=Consecutive(2), open_s=float(sys.argv[2]), probe_s=30.0, shared=sys.argv[1])
permit = None
print(one.state, flush=True)
for line in sys.stdin:
    word = line.strip()
    try:
        if word == "admit":
            permit = one.admit()
            print(permit.state, flush=True)
        elif word == "state":
            print(one.state, flush=True)
        else:
            getattr(permit, word)()
            print("told", flush=True)
    except CircuitOpen as error:
        print("refused", flush=True)
"""


class Process:
    """Another process with a breaker of the same name."""

    def __init__(self, url: str, open_s: float) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-c", OTHER, url, str(open_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PLAYHEAD_STRICT": "1"},
        )
        self.line()

    def line(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def say(self, word: str) -> str:
        assert self.running.stdin is not None
        self.running.stdin.write(f"{word}\n")
        self.running.stdin.flush()
        return self.line()

    def end(self) -> None:
        self.running.communicate(timeout=30)


@pytest.fixture
def processes(store_url: str, store: Store):
    """Makes processes; all end with the test."""
    made: list[Process] = []

    def make(open_s: float = 600.0) -> Process:
        made.append(Process(store_url, open_s))
        return made[-1]

    yield make
    for each in made:
        each.end()


def until(condition, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {seconds} s"
        time.sleep(0.01)


def shared_state(store: Store) -> str | None:
    found = store.shared(PREFIX).get(f"{PREFIX}a")
    return None if found is None else found.value["state"]


class TestProcesses:
    def test_one_trips_and_the_other_refuses(self, processes, store):
        one, other = processes(), processes()
        assert (one.say("admit"), other.say("admit")) == ("closed", "closed")
        for _ in range(2):
            one.say("admit")
            one.say("failed")
        until(lambda: other.say("admit") == "refused", "refused by the other process")
        assert shared_state(store) == "open"

    def test_one_that_comes_later_finds_the_circuit_open(self, processes, store):
        one = processes()
        for _ in range(2):
            one.say("admit")
            one.say("failed")
        until(lambda: shared_state(store) == "open", "told")
        later = processes()
        until(lambda: later.say("admit") == "refused", "refused by the later process")

    def test_one_probes_and_the_other_does_not_and_then_both_are_closed(self, processes, store):
        one, other = processes(0.2), processes(0.2)
        for _ in range(2):
            one.say("admit")
            one.say("failed")
        until(lambda: other.say("state") == "open", "open in the other process")
        until(lambda: one.say("admit") == "half-open", "probed")
        assert {other.say("admit") for _ in range(20)} == {"refused"}
        one.say("succeeded")
        until(lambda: other.say("admit") == "closed", "closed in the other process")

    def test_however_many_want_to_probe_one_does(self, processes):
        """They count 0.2 s for themselves and ask as fast as they can: only the store can tell which is the one."""
        several = [processes(0.2) for _ in range(3)]
        for _ in range(2):
            several[0].say("admit")
            several[0].say("failed")
        for each in several:
            until(lambda each=each: each.say("state") == "open", "open everywhere")
        answers: list[list[str]] = [[] for _ in several]
        ready = threading.Barrier(len(several))

        def ask(number: int) -> None:
            ready.wait(30)
            deadline = time.monotonic() + 30
            while not any("half-open" in each for each in answers) and time.monotonic() < deadline:
                answers[number].append(several[number].say("admit"))
            answers[number] += [several[number].say("admit") for _ in range(20)]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(several))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = [word for each in answers for word in each]
        assert told.count("half-open") == 1
        assert set(told) == {"half-open", "refused"}

    def test_a_probe_that_fails_opens_the_circuit_for_both(self, processes, store):
        one, other = processes(0.2), processes(0.2)
        for _ in range(2):
            one.say("admit")
            one.say("failed")
        until(lambda: one.say("admit") == "half-open", "probed")
        until(lambda: shared_state(store) == "half-open", "told")
        assert one.say("failed") == "told"
        until(lambda: shared_state(store) == "open", "told")
        until(lambda: other.say("state") == "open", "open in the other process")

    def test_whose_prober_was_killed_is_probed_by_another_when_the_probe_is_given_up(self, processes, store_url, store):
        one = processes(0.2)
        for _ in range(2):
            one.say("admit")
            one.say("failed")
        until(lambda: one.say("admit") == "half-open", "probed")
        assert shared_state(store) == "half-open"
        one.running.kill()
        survivor = Breaker("a", trip=Consecutive(2), open_s=0.2, probe_s=0.5, shared=store_url)
        until(lambda: survivor.state == "half-open", "known to the survivor")
        # the killed one's probe would be given up after 30 s by its own rules; by the survivor's after 0.5
        found = store.shared(PREFIX)[f"{PREFIX}a"]
        assert store.share(f"{PREFIX}a", {**found.value, "until_ns": time.time_ns()}, version=found.version)

        def probes() -> bool:
            try:
                return survivor.admit().state == "half-open"
            except CircuitOpen:
                return False

        until(probes, "probed by the survivor")
        survivor.close()


class TestAStoreThatIsAway:
    @pytest.fixture
    def away(self, tmp_path: Path, monkeypatch):
        """A place where no store can be opened, until its file is taken away."""
        monkeypatch.delenv("PLAYHEAD_STRICT", raising=False)
        place = tmp_path / "away.db"
        place.write_bytes(b"no database at all" * 100)
        yield place
        degraded.clear()

    def test_leaves_each_process_its_own_circuit(self, away):
        one = Breaker("a", trip=Consecutive(2), open_s=600.0, shared=away)
        for _ in range(2):
            one.admit().failed("timeout")
        with pytest.raises(CircuitOpen):
            one.admit()
        assert any("reach the store" in what for what in degraded)
        one.close()

    def test_is_told_what_happened_when_it_is_back(self, away):
        one = Breaker("a", trip=Consecutive(2), open_s=600.0, shared=away)
        for _ in range(2):
            one.admit().failed("timeout")
        away.unlink()
        until(away.exists, "made anew")
        with open_store(away) as store:
            until(lambda: shared_state(store) == "open", "told")
        one.close()


class TestASharedBreaker:
    def test_asks_the_store_no_question_for_a_call(self, store):
        asked: list[str] = []
        from sqlalchemy import event

        one = Breaker("a", shared=store)
        one.admit().succeeded()
        main = threading.get_ident()
        event.listen(
            store._engine,
            "before_cursor_execute",
            lambda *told: asked.append(told[2]) if threading.get_ident() == main else None,
        )
        for _ in range(1000):
            one.admit().succeeded()
        assert asked == []
        one.close()

    def test_does_not_go_back_to_an_older_state_of_its_own(self, store):
        """What it told comes back to it by the store; it is not news."""
        one = Breaker("a", trip=Consecutive(2), open_s=600.0, shared=store)
        for _ in range(2):
            one.admit().failed()
        until(lambda: shared_state(store) == "open", "told")
        before = one._circuit._state
        assert one.state == "open"
        assert one._circuit._state is before
        one.close()


class TestAMirror:
    def test_of_a_store_that_others_change_shows_it(self, store):
        mirror = Mirror(store, "role:")
        assert mirror.ready(20)
        assert mirror.seen() == {}
        assert store.share("role:a", 1, version=0)
        until(lambda: "a" in mirror.seen(), "seen")
        mirror.close()

    def test_ends_its_thread_when_nobody_has_it(self, store):
        mirror = Mirror(store, "role:", interval_s=0.01)
        assert mirror.ready(20)
        thread = mirror._thread
        del mirror
        until(lambda: not thread.is_alive(), "ended")

    def test_begins_anew_in_a_forked_child(self, tmp_path):
        place = tmp_path / "forked.db"
        with open_store(place) as store:
            assert store.share("role:a", 1, version=0)
            mirror = Mirror(place, "role:")
            assert mirror.ready(20)
            reading, writing = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads; this child needs none
                child = os.fork()
            if child == 0:
                try:
                    until(lambda: mirror.seen().get("b") is not None, "seen in the child", 15.0)
                    os.write(writing, b"seen")
                finally:
                    os._exit(0)
            os.close(writing)
            assert store.share("role:b", 2, version=0)
            with os.fdopen(reading, "rb") as answer:
                assert answer.read() == b"seen"
            os.waitpid(child, 0)
        mirror.close()

    def test_is_one_for_all_who_share_a_store(self, store, store_url):
        several = [Breaker(name, shared=store_url) for name in "abc"]
        for each in several:
            each.admit().succeeded()
        (mirror,) = {each._circuit._mirror for each in several}
        several[0].close()
        several[1].close()
        assert mirror._thread.is_alive()
        several[2].close()
        assert not mirror._thread.is_alive()
