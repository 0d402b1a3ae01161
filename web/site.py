"""What every page of one server shares."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from tracer import recorder
from tracer.adoption import adopt_abandoned
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.guard import guard
from tracer.model import PayloadRef
from tracer.store import Store
from web.security import Gate
from web.view.panel import Unreadable
from web.view.text import sentence


@dataclass(slots=True)
class Site:
    store: Store
    gate: Gate
    replays: bool = True
    #: What a replay is to record into: the same store; None for the configured one.
    database_url: str | None = None
    _adopted_s: float = 0.0

    def adopt(self) -> None:
        """Bring in what processes left that died since, at most once a second: a killed run is there when one looks."""
        now_s = time.monotonic()
        if self.database_url is None or now_s - self._adopted_s < 1.0:
            return
        self._adopted_s = now_s
        config = recorder.current_config()
        with contextlib.suppress(StoreUnreachable), guard("adopt the journal of a dead process"):
            adopt_abandoned(self.store, config.home, config.store_tag)

    def load(self, ref: PayloadRef) -> Any:
        """The decoded value of a payload, or why there is none."""
        try:
            return self.store.value(ref)
        except CodecError as error:
            return Unreadable(f"These bytes can't be read: {error}")
        except StoreUnreachable:
            raise
        except StoreError as error:
            return Unreadable(f"{sentence(str(error))}.")


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


CurrentSite = Annotated[Site, Depends(_site)]
