"""What every page of one server shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.model import PayloadRef
from tracer.store import Store
from web.security import Guard
from web.view.panel import Unreadable


@dataclass(frozen=True, slots=True)
class Site:
    store: Store
    guard: Guard
    replays: bool = True
    #: What a replay is to record into: the same store; None for the configured one.
    database_url: str | None = None

    def load(self, ref: PayloadRef) -> Any:
        """The decoded value of a payload, or why there is none."""
        try:
            return self.store.value(ref)
        except CodecError as error:
            return Unreadable(f"These bytes can't be read: {error}")
        except StoreUnreachable:
            raise
        except StoreError as error:
            return Unreadable(f"{str(error)[0].upper()}{str(error)[1:]}.")


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


CurrentSite = Annotated[Site, Depends(_site)]
