"""Opening the store to read: what the commands and the viewer do first.

Whatever dead processes left in their journals is brought in before anything is shown, so that a killed run is there.
"""

from __future__ import annotations

import contextlib
from functools import partial

from tracer import recorder
from tracer.adoption import adopt_abandoned
from tracer.errors import StoreUnreachable
from tracer.guard import guard
from tracer.owners import is_alive
from tracer.store import Store, open_store


def open_reading(database_url: str | None = None) -> Store:
    """The configured store (or the one named), with the events of dead processes adopted. Raises StoreUnreachable."""
    if database_url is not None:
        recorder.configure(database_url=database_url)
    config = recorder.current_config()
    store = open_store(config.database_url, alive=partial(is_alive, config.home))
    with contextlib.suppress(StoreUnreachable), guard("adopt the journal of a dead process"):
        adopt_abandoned(store, config.home, config.store_tag)
    return store
