"""A Router that tells a watch what came of its role's arms: a canary goes back by the work itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from router import Breaker, Consecutive, Guard, Registry, Retry, Router, Target, Waiting
from tests.sources import REPOSITORY
from tracer import configure

OLD, NEW = "old", "new"


@dataclass
class Told:
    """A watch that remembers."""

    seen: list[tuple[str, dict[str, bool]]] = field(default_factory=list)

    def saw(self, pick, **told):
        self.seen.append((pick.arm, told))


@pytest.fixture
def registry(tmp_path):
    configure(models=[Target(OLD), Target(NEW)])
    made = Registry(str(tmp_path / "roles.toml"))
    made.set("draft", production=OLD, canary=NEW, share=100)
    return made


def refused_by_the_new(attempt):
    if attempt.name == NEW:
        raise ConnectionError("429")
    return f"said by {attempt.name}"


def arms(registry, *, number=400):
    return [registry.pick("draft", str(at)).arm for at in range(number)]


class TestARouterWithAWatch:
    def test_tells_it_how_each_pick_went(self, registry):
        told = Told()
        router = Router([OLD], role="draft", registry=registry, watch=told, on=ConnectionError)
        assert router.call(lambda attempt: attempt.name).value == NEW
        assert router.call(refused_by_the_new).fell_back
        with pytest.raises(ZeroDivisionError):
            router.call(lambda _: 1 / 0)
        asyncio.run(router.acall(_said))
        assert list(router.stream(lambda attempt: [attempt.name])) == [NEW]
        kinds = [[name for name, is_so in told.items() if is_so] for _, told in told.seen]
        assert kinds == [[], ["fell_back"], ["failed"], [], []]
        assert {arm for arm, _ in told.seen} == {"canary"}

    def test_counts_a_question_to_a_human_as_one(self, registry):
        told = Told()

        def ask(_):
            raise Waiting("which?", "trace", "step")

        with pytest.raises(Waiting):
            Router([], role="draft", registry=registry, watch=told, on=()).call(ask)
        assert told.seen == [("canary", {"failed": False, "fell_back": False, "escalated": True})]

    def test_tells_nothing_of_a_call_that_was_interrupted(self, registry):
        told = Told()

        def interrupted(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Router([], role="draft", registry=registry, watch=told, on=()).call(interrupted)
        assert told.seen == []

    def test_has_a_canary_taken_back_that_falls_back_too_often(self, registry):
        registry.set("draft", canary=NEW, share=20)
        watch = registry.watch("draft", guard=Guard(at_least=20, worse_by=0.05))
        breaker = Breaker(NEW, trip=Consecutive(3))
        router = Router(
            [OLD],
            role="draft",
            registry=registry,
            watch=watch,
            breakers={NEW: breaker},
            retry=Retry(on=ConnectionError, base_s=0.0),
        )
        said = {router.keyed(str(number)).call(refused_by_the_new).value for number in range(400)}
        last = registry.history("draft")[-1]
        assert said == {f"said by {OLD}"}
        assert (last.verb, last.by, str(last.after)) == ("rollback", "watch", OLD)
        assert last.because.startswith("fallbacks: ")
        assert "surely worse by" in last.because
        assert breaker.state == "open"
        assert set(arms(registry)) == {"production"}

    def test_gets_its_answer_also_where_the_watch_is_broken(self, tmp_path):
        program = (
            "from router import Registry, Router, Target\n"
            "from tracer import configure\n"
            "class Broken:\n"
            "    def saw(self, *_, **__): raise RuntimeError('ours')\n"
            "configure(models=[Target('old')])\n"
            "registry = Registry('roles.toml')\n"
            "registry.set('draft', production='old')\n"
            "router = Router([], role='draft', registry=registry, watch=Broken(), on=())\n"
            "print(router.call(lambda attempt: attempt.name).value)\n"
        )
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        environ.pop("PLAYHEAD_STRICT", None)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.stdout == "old\n", done.stderr
        assert "could not count what came of a role's arm" in done.stderr

    def test_needs_a_role_to_watch(self):
        with pytest.raises(ValueError, match="watch= is told of the picks of a role"):
            Router([Target("one")], on=(), watch=Told())


async def _said(attempt):
    return attempt.name
