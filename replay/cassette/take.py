"""One take: a test with its cassettes, from before it runs until they are written.

The test records into a store of its own that is gone afterwards; where it is played, its cassettes are put in there
first. A cassette is one workflow's: the second workflow that a test calls has ``name-2.json``, and so on. Files are
written only when the test has passed, and only where they differ.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Literal

from replay.cassette import network
from replay.cassette.deck import Card, Deck
from replay.cassette.document import document
from replay.cassette.files import CassetteError, cassette_text, read, write
from replay.cassette.load import put
from replay.cassette.told import called_at, story_of
from replay.divergence import Divergence
from replay.errors import ReplayError
from replay.record import Record
from tracer import recorder
from tracer.config import Config
from tracer.key import store_key
from tracer.model import Step, Trace
from tracer.player import ReplayStopped
from tracer.store import Store, open_store

Mode = Literal["none", "once", "new", "all"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a take. ``path`` is the first cassette's; ``test`` is what pytest calls the test."""

    path: Path
    test: str
    mode: Mode
    update: bool = False
    network: bool = False

    @property
    def shown(self) -> str:
        cwd = Path.cwd()
        return str(self.path.relative_to(cwd)) if self.path.is_relative_to(cwd) else str(self.path)

    def files(self) -> list[Path]:
        """The cassettes that there are, in order."""
        found = [self.path] if self.path.is_file() else []
        while found and self.numbered(len(found)).is_file():
            found.append(self.numbered(len(found)))
        return found

    def numbered(self, index: int) -> Path:
        """Where the cassette of the workflow with this index is; the first is 0."""
        name = f"{self.path.stem}-{index + 1}{self.path.suffix}" if index else self.path.name
        return self.path.with_name(name)


@dataclass(slots=True)
class Told:
    """What came of a take. ``failed``: why the test can't be said to have passed, whatever it says itself."""

    cassette: str
    failed: str | None = None
    #: Recorded steps that nothing asked for, and steps that were served although their code has changed.
    unused: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    #: All that was another than recorded, for the report of a test that failed.
    divergences: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


class Take:
    """``with take.running(): ...the test...``, then ``take.end(error)``, inside ``with Take.of(asked) as take``."""

    def __init__(self, asked: Asked, store: Store, config: Config) -> None:
        self.asked = asked
        self._store = store
        self._config = config
        self._refusal: network.Refusal | None = None
        self.cards = self._load()
        self._known = {card.trace.trace_id for card in self.cards}
        self._plays = bool(self.cards) if asked.update or asked.mode in {"once", "new"} else asked.mode == "none"
        self._adds = asked.update or asked.mode == "new"
        self._deck = Deck(self.cards, adds=self._adds, renews=asked.update)

    @classmethod
    @contextlib.contextmanager
    def of(cls, asked: Asked) -> Iterator[Take]:
        """Raises CassetteError where the mode needs a cassette that is not there, or is damaged."""
        folder = Path(tempfile.mkdtemp(prefix="playhead-take-"))
        url = f"sqlite:///{folder / 'playhead.db'}"
        try:
            settings = {"database_url": url, "home": folder, "enabled": True, "sample": 1.0, "keep": 1.0}
            with recorder.elsewhere(**settings) as config, open_store(url) as store:
                yield cls(asked, store, config)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _load(self) -> list[Card]:
        asked = self.asked
        files = asked.files()
        if not files and asked.mode == "none" and not asked.update:
            raise CassetteError(
                f"{asked.shown}: there is no cassette, and replay mode none records none; "
                f'record it once: pytest "{asked.test}" --replay-mode once'
            )
        try:
            return [self._card(path) for path in files]
        except CassetteError:
            if asked.mode == "all":  # which is the way out of a damaged one
                return []
            raise

    def _card(self, path: Path) -> Card:
        sources = read(path)
        if len(sources) != 1:
            raise CassetteError(f"{path}: a cassette holds one trace, not {len(sources)}; import it, and export each")
        trace_id = put(sources[0], self._store, store_key(self._config.home))
        return Card(sources[0], Record(self._store.trace(trace_id), self._store.payloads))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While the test runs: its workflows begin under the deck, and nothing goes out that may not."""
        with contextlib.ExitStack() as stack:
            if self._plays:
                stack.enter_context(recorder.hold(self._deck))
                if not self._adds and not self.asked.network:
                    self._refusal = stack.enter_context(network.refused(self._no_network))
            yield

    def stay(self) -> None:
        """Go on recording here, where a module that was imported meanwhile has configured another place."""
        now = recorder.current_config()
        if (now.database_url, now.home) != (self._config.database_url, self._config.home):
            recorder.configure(database_url=self._config.database_url, home=self._config.home, enabled=True)

    def end(self, error: BaseException | None) -> Told:
        """The test is over. ``error`` is what it raised."""
        told = Told(self.asked.shown)
        recorder.flush()
        if self._plays:
            if self._deck.stopped is None:
                self._deck.close()
            told.failed = self._why_failed(error)
            self._gather(told)
        elif error is None and not self._recorded():
            told.failed = (
                "There is nothing to put into a cassette: this test is marked, and no workflow that it calls was "
                "recorded. Does it call a @workflow, in the test itself and in this process?"
            )
        if error is None and told.failed is None:
            told.written = self._write()
        return told

    def _why_failed(self, error: BaseException | None) -> str | None:
        at = called_at(None if error is None else error.__traceback__)
        stopped = self._deck.stopped
        if stopped is not None:
            told = story_of(stopped, self._deck, at)
            head = f"This run is not the recorded one (replay mode {self._mode}, cassette {self.asked.shown})."
            return "\n".join([head, *told, self._way_out])
        if self._refusal is not None and self._refusal.tried:
            place = f" (from {at})" if at else ""
            return f"A connection to {self._refusal.tried[0]} was refused{place}: {self._no_network}"
        return f"{error}{f' (at {at})' if at else ''}" if isinstance(error, ReplayStopped) else None

    @property
    def _mode(self) -> str:
        return "update" if self.asked.update else self.asked.mode

    @property
    def _way_out(self) -> str:
        return f'If this is as it should be now, record what changed: pytest "{self.asked.test}" --update'

    @property
    def _no_network(self) -> str:
        return (
            f"in replay mode {self._mode} this test has only its cassette {self.asked.shown}; make the call inside a "
            "step of the workflow, so that it is recorded, or allow it: @pytest.mark.playhead(network=True)"
        )

    def _gather(self, told: Told) -> None:
        for card in self.cards:
            if card.player is None:
                root = card.trace.root
                told.unused.append("the whole workflow" if root is None else f"{root.path} (the whole workflow)")
                continue
            for divergence in card.player.divergences:
                told.divergences.append(str(divergence))
                if divergence.kind == "never-reached":
                    told.unused.append(divergence.path)
                elif _is_stale(divergence, card.trace):
                    told.stale.append(divergence.path)

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write(self) -> list[str]:
        if not self._plays:
            return self._put_in_place(self._recorded())
        if not self._adds:
            return []
        if not self.asked.update and not any(player.live for player in self._deck.players):
            return []
        played = [card.player.new_trace_id for card in self.cards if card.player is not None]
        return self._put_in_place([self._store.trace(each) for each in played if each is not None])

    def _recorded(self) -> list[Trace]:
        found = [each for each in self._store.traces(limit=1_000) if each.trace_id not in self._known]
        return [self._store.trace(each.trace_id) for each in reversed(found) if each.replay_of is None]

    def _put_in_place(self, traces: list[Trace]) -> list[str]:
        """Write the cassettes of these traces, and take away what is left of a test that called more workflows."""
        if not traces:
            return []
        left = self.asked.files()[len(traces) :]
        written = []
        for index, trace in enumerate(traces):
            path = self.asked.numbered(index)
            if write(path, cassette_text(document(trace, self._store.payloads))):
                written.append(path.name if index else self.asked.shown)
        for path in left:
            path.unlink()
        return written

    def first(self) -> Card:
        """The first cassette. Raises ReplayError where there is none."""
        if not self.cards or self.cards[0].source is None:
            raise ReplayError(
                f"{self.asked.shown}: there is no cassette to take the inputs from; export the trace again"
            )
        return self.cards[0]


def _is_stale(divergence: Divergence, trace: Trace) -> bool:
    """Whether a call was answered although its code has changed; plain code ran, as it is now."""
    step: Step | None = None if divergence.recorded_step_id is None else trace.step(divergence.recorded_step_id)
    return divergence.kind == "code-changed" and step is not None and _is_leaf(step)


def _is_leaf(step: Step) -> bool:
    return step.effect or step.kind in {"llm", "embedding", "retriever", "reranker", "tool", "http", "human"}
