"""Scores and notes that readers add to a step after it was recorded, and take back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, delete, select

from tracer import codec
from tracer.errors import StoreError
from tracer.model import Note
from tracer.store import engine as engines
from tracer.store.statements import upsert
from tracer.store.tables import notes, steps


@dataclass(frozen=True, slots=True)
class Remarks:
    """What readers say of the steps of one store."""

    engine: Engine

    def add(self, trace_id: str, step_id: str, note: Note) -> None:
        """Add what a reader says of a step; raises StoreError where there is no such step."""
        row = {
            "trace_id": trace_id,
            "step_id": step_id,
            "kind": note.kind,
            "name": note.name,
            "occurrence": note.occurrence,
            "at_ns": note.at_ns,
            "value": codec.encode(note.value).data,
        }
        known = select(steps.c.step_id).where(steps.c.trace_id == trace_id, steps.c.step_id == step_id)
        with engines.writing(self.engine) as connection:
            if connection.execute(known).scalar() is None:
                raise StoreError(f"no step {step_id} of trace {trace_id} is in {engines.shown(self.engine.url)}")
            upsert(connection, notes, [row], change=("at_ns", "value"))

    def take_back(self, trace_id: str, step_id: str, *, kind: str, name: str, occurrence: int) -> bool:
        """Take back what a reader added. False where there is no such thing, or the run itself said it."""
        gone = delete(notes).where(
            notes.c.trace_id == trace_id,
            notes.c.step_id == step_id,
            notes.c.kind == kind,
            notes.c.name == name,
            notes.c.occurrence == occurrence,
            notes.c.at_ns == occurrence,
        )
        with engines.writing(self.engine) as connection:
            return connection.execute(gone).rowcount > 0
