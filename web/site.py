"""What every page of one server shares."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Callable

from fastapi import Depends, Request

from tracer import doctor, recorder
from tracer.adoption import adopt_abandoned
from tracer.doctor import Recording
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.guard import guard
from tracer.metrics.metrics import Metrics
from tracer.model import PayloadRef
from tracer.store import Store
from web.counting import Counting
from web.recent import Recent
from web.runs import Runs
from web.security import Gate
from web.view.health import alert_of
from web.view.panel import Unreadable
from web.view.text import sentence


@dataclass(slots=True)
class Site:
    store: Store
    gate: Gate
    replays: bool = True
    #: What a replay is to record into: the same store; None for the configured one.
    database_url: str | None = None
    #: Whether the server is about to end: who holds a connection open lets go of it.
    ending: Callable[[], bool] = lambda: False
    #: What pages read of many traces, kept for a moment.
    recent: Recent = field(default_factory=Recent)
    #: What was started from its pages.
    runs: Runs = field(default_factory=Runs)
    #: Figures that were counted lately.
    counting: Counting = field(default_factory=Counting)
    #: What Prometheus is told.
    metrics: Metrics = field(default_factory=Metrics)
    _adopted_s: float = 0.0
    _alert: tuple[float, str] = (0.0, "")
    _asked: tuple[float, int] = (0.0, 0)

    def adopt(self) -> None:
        """Bring in what processes left that died since, at most once a second: a killed run is there when one looks."""
        now_s = time.monotonic()
        if self.database_url is None or now_s - self._adopted_s < 1.0:
            return
        self._adopted_s = now_s
        config = recorder.current_config()
        with contextlib.suppress(StoreUnreachable), guard("adopt the journal of a dead process"):
            adopt_abandoned(self.store, config.home, config.store_tag)

    def recording(self) -> Recording | None:
        """How recording into this store fares, in all processes; None where the store was given without its home."""
        if self.database_url is None:
            return None
        with guard("look at the journals"):
            return doctor.recording(recorder.current_config())
        return None

    def alert(self) -> str:
        """What every page says about recording while something is wrong with it; looked at once a second at most."""
        now_s = time.monotonic()
        if now_s - self._alert[0] >= 1.0:
            seen = self.recording()
            self._alert = (now_s, "" if seen is None else alert_of(seen))
        return self._alert[1]

    def asked(self) -> int:
        """How many questions wait for a human; looked at once a second at most. 0 where the store can't be asked."""
        now_s = time.monotonic()
        if now_s - self._asked[0] >= 1.0:
            with contextlib.suppress(StoreError):
                self._asked = (now_s, self.store.escalations.count_open())
        return self._asked[1]

    def answered(self) -> None:
        """A question was closed: the next page counts anew."""
        self._asked = (0.0, 0)

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
