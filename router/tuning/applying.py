"""A threshold into the registry: as the canary of a role, to take its share until it is promoted."""

from __future__ import annotations

import time
from typing import Any, Mapping

from router.errors import TuningError
from tracer.store import Store

#: The setting of an arm that a cascade reads its threshold from.
SETTING = "accept"


def with_canary(entry: Mapping[str, Any], accept: float, share: float) -> dict[str, Any]:
    """The role's entry with a canary that is the production one but for its threshold. What else stands there stays."""
    arm = entry["production"]
    target, settings = (arm, {}) if isinstance(arm, str) else (arm["target"], arm.get("settings", {}))
    canary = {"target": target, "settings": {**settings, SETTING: accept}}
    return {**entry, "canary": canary, "share": share}


def apply(store: Store, role: str, accept: float, *, share: float = 10.0) -> dict[str, Any]:
    """Write it, and give the entry as it now is. Raises TuningError where there is no such role, or where it has a
    canary already: two experiments at once would tell nothing of either."""
    name = f"role:{role}"
    while True:
        found = store.shared(name).get(name)
        if found is None:
            raise TuningError(
                f"there is no role {role} to put a threshold into: make it with playhead roles set {role}"
            )
        if found.value.get("canary"):
            raise TuningError(f"the role {role} has a canary already: promote it or roll it back first")
        entry = with_canary(found.value, accept, share)
        entry["history"] = [*found.value.get("history", ()), _change(found.value, entry, accept)]
        if store.share(name, entry, version=found.version):
            return entry


def _change(before: Mapping[str, Any], after: Mapping[str, Any], accept: float) -> dict[str, Any]:
    """What was changed, as the history of a role holds it."""
    plain = [{name: value for name, value in entry.items() if name != "history"} for entry in (before, after)]
    because = f"accept {accept:.4g} is what the recorded runs recommend"
    told = {"at_ns": time.time_ns(), "by": "playhead tune", "verb": "set", "because": because}
    return {**told, "from": plain[0], "to": plain[1]}
