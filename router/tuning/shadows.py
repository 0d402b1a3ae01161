"""Shadow replays: a random slice of the runs whose dear answer nobody saw, replayed with the dear one in place of the
cheap one. Which were drawn, of how many, is kept in the store, so that what they show counts with its probability."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from router.tuning.observed import Observed
from tracer.store import Store

_PREFIX = "shadow:"


@dataclass(frozen=True, slots=True)
class Shadow:
    """``replays`` are those that were drawn and replayed: trace -> its replay; ``of`` how many might have been drawn,
    all of them begun at ``until_ns`` or before."""

    of: int
    until_ns: int
    replays: Mapping[str, str]

    @property
    def share(self) -> float:
        return len(self.replays) / self.of


def unseen(observed: Sequence[Observed]) -> list[Observed]:
    """Those whose dear answer was not seen, whatever chance it had: who is drawn next is drawn among them."""
    return [run for run in observed if not run.asked]


def drawn(runs: Sequence[Observed], number: int, *, seed: int) -> list[str]:
    """So many of them, in random order: what is left out at the end, left out by chance."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    return [run.trace_id for run in chance.sample(list(runs), min(number, len(runs)))]


def keep(store: Store, workflow: str, step: str, name: str, shadow: Shadow) -> bool:
    """Write down what was drawn, under this name; False where it already is."""
    value = {"of": shadow.of, "until_ns": shadow.until_ns, "replays": dict(shadow.replays)}
    return store.share(f"{_PREFIX}{workflow}/{step}:{name}", value, version=0)


def with_shadows(store: Store, workflow: str, step: str) -> list[Shadow]:
    """All of this step's, oldest first."""
    found = sorted(store.shared(f"{_PREFIX}{workflow}/{step}:").values(), key=lambda each: each.changed_ns)
    return [_shadow(each.value) for each in found]


def _shadow(value: Any) -> Shadow:
    return Shadow(of=value["of"], until_ns=value["until_ns"], replays=value["replays"])
