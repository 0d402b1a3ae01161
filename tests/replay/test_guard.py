"""A replay stops unmarked code before it acts on the world, whatever it acts by."""

from __future__ import annotations

import gc
from typing import Any, Callable, Iterator

import pytest

from replay import allow, edit, live, replay
from tests.replay.unmarked import AWAITED, IN_A_FOLDER, OVER_THE_NETWORK, Folder, Listener, pipeline

# Code that gets no further than connect() leaves its socket to the collector: it closes it after an OSError only.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Place = Folder | Listener

NETWORK = [*OVER_THE_NETWORK, "asyncio.open_connection", "loop.create_datagram_endpoint"]
EVERY_WAY = [
    *((what, how) for what in [*IN_A_FOLDER, *OVER_THE_NETWORK] for how in ("plainly", "in a thread", "in a task")),
    *((what, "in a task") for what in AWAITED),
]


@pytest.fixture
def place(tmp_path) -> Iterator[Callable[[str], Place]]:
    """Makes a place where this sort of act would be seen."""
    listeners: list[Listener] = []

    def make(what: str) -> Place:
        if what not in NETWORK:
            return Folder(tmp_path / f"place {len(list(tmp_path.iterdir()))}")
        listeners.append(Listener())
        return listeners[-1]

    yield make
    gc.collect()
    for listener in listeners:
        listener.close()


def acts(what: str, how: str, at: Place, other: Place, *rules: Any, **more: Any) -> Any:
    """Record it at one place, and replay it as if the other had been chosen."""
    pipeline(what, how, at.where)
    return replay("latest", edit("choose", other.where), *rules, **more)


class TestUnmarkedCode:
    @pytest.mark.parametrize(("what", "how"), EVERY_WAY)
    def test_it_is_stopped_before_it_acts(self, recorded, place, what, how):
        first, second = place(what), place(what)
        before, untouched = first.state(), second.state()
        again = acts(what, how, first, second)
        assert first.state() != before, "the recorded run is to have done it"
        assert second.state() == untouched
        assert again.stopped is not None
        assert (again.stopped.divergence.kind, again.stopped.divergence.path) == (
            "unmarked-effect",
            "pipeline/careless",
        )

    @pytest.mark.parametrize("what", [*IN_A_FOLDER, *OVER_THE_NETWORK])
    def test_it_acts_where_the_plan_allows_it(self, recorded, place, what):
        first, second = place(what), place(what)
        untouched = second.state()
        again = acts(what, "plainly", first, second, allow("careless"))
        assert (again.stopped, again.output, again.unused) == (None, "done", ())
        assert second.state() != untouched

    @pytest.mark.parametrize("how", ["plainly", "in a thread", "in a task"])
    @pytest.mark.parametrize("rule", [allow("pipeline"), allow("careless"), live("careless")], ids=str)
    def test_what_the_plan_lets_act_acts_on_any_thread_and_task(self, recorded, place, how, rule):
        first, second = place("append"), place("append")
        untouched = second.state()
        again = acts("append", how, first, second, rule)
        assert (again.stopped, again.output) == (None, "done")
        assert second.state() != untouched

    @pytest.mark.parametrize("what", ["append", "subprocess.run", "sqlite3.connect", "requests"])
    def test_it_acts_in_a_replay_that_wants_no_guard(self, recorded, place, what):
        first, second = place(what), place(what)
        untouched = second.state()
        again = acts(what, "plainly", first, second, guarded=False)
        assert again.output == "done"
        assert second.state() != untouched
        assert "--unguarded" in recorded.trace(again.trace_id).plan["rules"]

    @pytest.mark.parametrize("what", [*IN_A_FOLDER, *OVER_THE_NETWORK, *AWAITED])
    def test_nothing_is_done_by_a_step_that_is_served(self, recorded, place, what):
        there = place(what)
        pipeline(what, "in a task", there.where)
        before = there.state()
        again = replay("latest")
        assert (again.stopped, again.output) == (None, "done")
        assert there.state() == before
