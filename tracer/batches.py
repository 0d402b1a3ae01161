"""From frames to rows: a batch of journal frames, made events and applied to a store. Nothing here gives up: what can't
be read or stored is counted, and never in the way of what comes behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracer.codec import CodecError, identity
from tracer.errors import StoreError
from tracer.events import Event, unpack
from tracer.guard import report
from tracer.journal import START, Position
from tracer.key import NO_INPUT
from tracer.tail import KEEP_ALL, Keep

if TYPE_CHECKING:
    from tracer.store import Store

#: Events in one transaction: past some hundreds, SQLite's cost per row no longer falls.
BATCH = 3000


def write(store: Store, events: list[Event], *, owner: str, position: Position, keep: Keep = KEEP_ALL) -> None:
    """Apply a batch. An event that the store can't hold is counted and passed over, never in the way of others."""
    try:
        store.apply(events, owner=owner, position=position, keep=keep)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one event; halving the batch finds it
        if len(events) > 1:
            half = len(events) // 2
            write(store, events[:half], owner=owner, position=START, keep=keep)
            write(store, events[half:], owner=owner, position=position, keep=keep)
        else:
            report("store one of its own events", error)
            store.apply([], owner=owner, position=position)


def events_of(frames: list[bytes], key: bytes) -> list[Event]:
    """The events in these frames, with the identities that the recording thread left to us.

    A frame that is none of ours is counted and passed over, never in the way of others.
    """
    events: list[Event] = []
    for frame in frames:
        try:
            events.append(unpack(frame, lambda given: identity(given or NO_INPUT, key)))
        except (ValueError, CodecError) as error:
            report("read one of its own events", error)
    return events
