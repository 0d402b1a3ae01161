"""A threshold into the registry: as the canary of a role, to take its share until it is promoted."""

from __future__ import annotations

from router.registry import Registry
from router.registry.entry import Change
from tracer.store import Store

#: The setting of an arm that a cascade reads its threshold from.
SETTING = "accept"


def apply(store: Store, role: str, accept: float, *, share: float = 10.0) -> Change:
    """Make the threshold the canary of a role. Raises UnknownRole, and RegistryError where it has a canary already."""
    because = f"{SETTING} {accept:.4g} is what the recorded runs recommend"
    registry = Registry(store)
    try:
        return registry.trial(role, {SETTING: accept}, share=share, because=because, by="playhead tune")
    finally:
        registry.close()
