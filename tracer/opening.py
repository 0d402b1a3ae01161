"""What a recorder needs late, and not on its caller's thread: the store's library, and what sends spans on."""

from __future__ import annotations

from functools import partial
from typing import Any

from tracer.config import Config
from tracer.importing import IMPORTING


def store_of(config: Config) -> Any:
    """Open the store that this configuration names. SQLAlchemy is imported by whoever comes first."""
    with IMPORTING:
        from tracer.store import open_store  # noqa: PLC0415

    return open_store(config.database_url)


def exporter_of(config: Config) -> Any:
    """What sends finished steps on as spans; None where nobody asked for that."""
    if not config.otlp_export:
        return None
    with IMPORTING:
        from tracer.otlp.exporting import Exporter  # noqa: PLC0415

    return Exporter(partial(store_of, config))
