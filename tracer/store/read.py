"""Rows become values here, and nowhere else."""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection, Row, and_, select

from tracer.model import (
    Cost,
    Entry,
    Failure,
    ModelCall,
    Note,
    PayloadRef,
    Step,
    Trace,
    TraceSummary,
    Usage,
)
from tracer.store.bodies import address_of, digest_in, fetch
from tracer.store.rows import decoded, failure_in
from tracer.store.search import Owners, status_of
from tracer.store.tables import model_calls, notes, payloads, steps, traces

#: What the traces list needs: everything but the plan of a replay and the way to run a trace again.
SUMMARY = [column for column in traces.columns if column.name not in ("entry", "plan", "end_plan")]


def summary_of(row: Row[Any], owners: Owners) -> TraceSummary:
    ended = row.outcome is not None
    return TraceSummary(
        trace_id=row.trace_id,
        workflow=row.workflow,
        status=status_of(row.outcome, alive=not ended and owners.lives(row.owner)),
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        version=row.version,
        preview=row.preview,
        failed_step=row.failed_step,
        failed_step_id=row.failed_step_id,
        error_type=row.error_type,
        error_message=row.error_message,
        steps=row.steps,
        model_calls=row.model_calls,
        models=tuple(row.models),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_nusd=row.cost_nusd,
        unpriced=row.unpriced,
        escalations=row.escalations,
        tags=row.tags or {},
        replay_of=row.replay_of,
        resume_of=row.resume_of,
    )


def trace_of(connection: Connection, row: Row[Any], owners: Owners, only: Collection[str] | None = None) -> Trace:
    """A trace from its row of ``traces``, without the bodies of its inputs and outputs. Of ``only`` some of its steps
    each has the number that it has among these."""
    summary = summary_of(row, owners)
    found = _step_rows(connection, row.trace_id, only)
    failures = fetch(connection, {step.failure for step in found if step.failure is not None})
    said = _notes(connection, row.trace_id, only)
    values = tuple(
        _step(step, number, failures, said.get(step.step_id, ()), alive=summary.status == "running")
        for number, step in enumerate(found)
    )
    plan = {**(row.plan or {}), **(row.end_plan or {})} or None
    return Trace(
        summary=summary,
        entry=None if row.entry is None else Entry(**row.entry),
        steps=values,
        plan=plan,
        owner=row.owner or None,
    )


def payloads_in(connection: Connection, addresses: Iterable[str]) -> dict[str, bytes]:
    """The payloads that the store holds under these addresses."""
    wanted = {digest_in(address): address for address in addresses}
    return {wanted[digest]: data for digest, data in fetch(connection, wanted).items()}


def _step_rows(connection: Connection, trace_id: str, only: Collection[str] | None) -> Sequence[Row[Any]]:
    given = payloads.alias("given")
    made = payloads.alias("made")
    call = [
        column.label(f"call_{column.name}")
        for column in model_calls.columns
        if column.name not in ("trace_id", "step_id")
    ]
    has_call = model_calls.c.step_id.label("call_step_id")
    same = and_(model_calls.c.trace_id == steps.c.trace_id, model_calls.c.step_id == steps.c.step_id)
    query = (
        select(steps, has_call, *call, given.c.size.label("input_size"), made.c.size.label("output_size"))
        .select_from(
            steps.outerjoin(model_calls, same)
            .outerjoin(given, given.c.digest == steps.c.input)
            .outerjoin(made, made.c.digest == steps.c.output)
        )
        .where(steps.c.trace_id == trace_id, steps.c.path != "")
        .order_by(steps.c.started_ns, steps.c.seq)
    )
    return connection.execute(query if only is None else query.where(steps.c.step_id.in_(only))).all()


def _notes(connection: Connection, trace_id: str, only: Collection[str] | None) -> dict[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    query = select(notes).where(notes.c.trace_id == trace_id).order_by(notes.c.at_ns, notes.c.name, notes.c.occurrence)
    for row in connection.execute(query if only is None else query.where(notes.c.step_id.in_(only))):
        note = Note(
            kind=row.kind, name=row.name, occurrence=row.occurrence, at_ns=row.at_ns, value=decoded(bytes(row.value))
        )
        found.setdefault(row.step_id, []).append(note)
    return found


def _step(row: Row[Any], number: int, failures: Mapping[bytes, bytes], said: Sequence[Note], *, alive: bool) -> Step:
    return Step(
        trace_id=row.trace_id,
        step_id=row.step_id,
        parent_id=row.parent_id,
        seq=number,
        name=row.name,
        kind=row.kind,
        path=row.path,
        occurrence=row.occurrence,
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        outcome=row.outcome,
        status=status_of(row.outcome, alive=alive),
        origin=row.origin,
        effect=bool(row.effect),
        input=_ref(row.input, row.input_size, row.input_lossy),
        output=_ref(row.output, row.output_size, row.output_lossy),
        identity=row.identity,
        fingerprint=row.fingerprint,
        failure=_failure(row, failures),
        call=None if row.call_step_id is None else _call(row),
        tags={**(row.tags or {}), **(row.end_tags or {})},
        notes=tuple(said),
        source_step_id=row.source_step_id,
    )


def _ref(digest: bytes | None, size: int | None, lossy: list[str] | None) -> PayloadRef | None:
    return None if digest is None else PayloadRef(address_of(digest), size or 0, tuple(lossy or ()))


def _failure(row: Row[Any], failures: Mapping[bytes, bytes]) -> Failure | None:
    if row.failure is None:
        return None
    if row.failure in failures:
        return failure_in(failures[row.failure])
    return Failure(type=row.error_type or "Exception", message=row.error_message or "")


def _call(row: Row[Any]) -> ModelCall:
    usage = Usage(
        input_tokens=row.call_input_tokens,
        output_tokens=row.call_output_tokens,
        cache_read_tokens=row.call_cache_read_tokens,
        cache_write_tokens=row.call_cache_write_tokens,
        reasoning_tokens=row.call_reasoning_tokens,
        input_audio_tokens=row.call_input_audio_tokens,
        output_audio_tokens=row.call_output_audio_tokens,
        raw=row.call_raw_usage,
        cache_write_1h_tokens=row.call_cache_write_1h_tokens,
        cache_audio_tokens=row.call_cache_audio_tokens,
        web_searches=row.call_web_searches,
    )
    cost = None if row.call_cost_nusd is None else Cost(row.call_cost_nusd, row.call_price or "")
    reason = row.call_unpriced_because
    if cost is None and reason is None:
        reason = "the call has not ended" if row.outcome is None else "nothing was said about its usage"
    return ModelCall(
        provider=row.call_provider,
        model_asked=row.call_model_asked,
        model=row.call_model,
        usage=usage,
        cost=cost,
        unpriced_because=reason,
        first_token_ns=row.call_first_token_ns,
        finish_reason=row.call_finish_reason,
        response_id=row.call_response_id,
        status_code=row.call_status_code,
        streamed=row.call_streamed,
        error_type=row.call_error_type,
        retry_after_s=row.call_retry_after_s,
        request_id=row.call_request_id,
    )
