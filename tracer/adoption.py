"""Adoption: what dead processes left in their journals is brought into the store, once, by whoever comes first.

The position is committed with the rows, so an adopter that is killed itself neither loses nor doubles. What can't be
read stays on disk: a whole journal of another version where it is, a damaged segment in the home's folder ``damaged``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from tracer import health
from tracer.batches import BATCH, events_of, write
from tracer.guard import report
from tracer.journal import PORTION_BYTES, START, Position, read_folder
from tracer.key import store_key
from tracer.owners import abandoned, adopt, discard, pid_of, sweep
from tracer.segments import ForeignJournal, path_of

if TYPE_CHECKING:
    from tracer.store import Store

DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of one dead process's journal. ``damaged`` names the files of which a part was lost; ``problem`` says
    why the journal stays where it is, and is empty where all was brought in."""

    owner: str
    events: int = 0
    damaged: tuple[Path, ...] = ()
    problem: str = ""


def adopt_abandoned(store: Store, home: Path, store_tag: str) -> int:
    """Bring the events of dead processes into the store, and delete their journals. Returns how many events came."""
    return sum(each.events for each in adopting(store, home, store_tag))


def adopting(store: Store, home: Path, store_tag: str, *, all_hosts: bool = False) -> Iterator[Adopted]:
    """Adopt one dead process's journal after the other. One that can't be read is no obstacle to the others."""
    sweep(home)
    for folder in abandoned(home, store_tag, all_hosts=all_hosts):
        with adopt(folder) as dead:
            if dead:
                try:
                    adopted = _drain(store, folder, home)
                except (OSError, ForeignJournal) as error:
                    report("adopt the journal of a dead process", error)
                    adopted = Adopted(folder.name, problem=str(error))
                yield adopted


def _drain(store: Store, folder: Path, home: Path) -> Adopted:
    owner = folder.name
    key = store_key(home)
    events = 0
    damaged: dict[Path, None] = {}
    read = read_folder(folder, Position(*(store.position(owner) or START)))
    for frames, position, torn in _portions(read):
        write(store, events_of(frames, key), owner=owner, position=position)
        events += len(frames)
        for number in torn:
            damaged[path_of(folder, number)] = None
    # So that readers on other machines, who can't see its lock, know that it is gone too.
    store.announce(owner, pid=pid_of(owner))
    store.withdraw(owner)
    health.keep(home, owner, health.degraded_of(folder))
    kept = tuple(_set_aside(path, home) for path in damaged)
    discard(folder)
    return Adopted(owner, events, kept)


def _set_aside(path: Path, home: Path) -> Path:
    """Keep a damaged segment where it is no longer adopted, and can be looked at."""
    place = home / DAMAGED
    place.mkdir(mode=0o700, exist_ok=True)
    kept = place / f"{path.parent.name}-{path.name}"
    path.replace(kept)
    report(
        "read a part of a dead process's journal",
        f"its file was damaged, all that is whole was brought in, and the file is kept as {kept}: delete it when "
        "nothing in it is missed",
    )
    return kept


def _portions(
    frames: Iterator[tuple[bytes | None, Position]],
) -> Iterator[tuple[list[bytes], Position, set[int]]]:
    """Frames by the batch, the position behind them, and the segments in which something before it was damaged."""
    portion: list[bytes] = []
    portion_bytes = 0
    torn: set[int] = set()
    position = START
    for frame, position in frames:
        if frame is None:
            torn.add(position.segment)
            continue
        portion.append(frame)
        portion_bytes += len(frame)
        if len(portion) == BATCH or portion_bytes >= PORTION_BYTES:
            yield portion, position, torn
            portion, portion_bytes, torn = [], 0, set()
    if portion or torn:
        yield portion, position, torn
