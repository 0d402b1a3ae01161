"""One step as the panel shows it: error, facts, input, output, details, always in this order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from urllib.parse import quote

from replay.compare import compare
from tracer import format as fmt
from tracer.codec import Yielded
from tracer.format import Shown
from tracer.model import PayloadRef, Step, Trace, Usage
from tracer.plain import plain
from tracer.wire import HttpResponse
from web.view.blame import source_of
from web.view.compare import field_change, opened
from web.view.contexts import Link, NoteForm, PayloadView, StepPanel, Tab
from web.view.deciding import decided
from web.view.exchange import said
from web.view.failure import error_block
from web.view.laid import Laid
from web.view.looking import Looking, Shape
from web.view.noting import said_of
from web.view.payload import block, text_block
from web.view.rhythm import Rhythm, rhythm_of
from web.view.stepping import stepping
from web.view.text import one_line
from web.view.waterfall import origin_word

#: Payloads above this are not decoded for the panel; their page and the raw download have them.
DECODE_LIMIT = 4_000_000
#: Bytes from which a value tells something by being the same as another: True and "ok" stand everywhere.
_TELLING = 24
_OTHERS = 6
_CHANGES = 30
#: One part in so many of the run is worth saying.
_WORTH_SAYING = 100
_ORIGIN_TITLES = {
    "RECORDED": "served from the record, nothing ran",
    "RE-RUN": "ran again",
    "SUBSTITUTED": "another model answered",
    "EDITED": "the plan gave this result",
    "INJECTED": "the plan made it fail",
    "STOOD-IN": "a stand-in took the place of the effect",
}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a value that could not be loaded: why."""

    reason: str


Load = Callable[[PayloadRef], Any]


def step_panel(  # noqa: PLR0913 - a step, and how it is looked at
    laid: Laid,
    step: Step,
    *,
    load: Load,
    looking: Looking,
    recorded: Step | None = None,
    form: NoteForm | None = None,
) -> StepPanel:
    """Everything about one step. ``load`` decodes a payload (or gives Unreadable); ``recorded`` is the step that this
    one of a replay was matched with, where the two are to be compared."""
    trace, base = laid.trace, looking.base
    source = source_of(trace, step)
    rhythm = _rhythm(step, load)
    replay = f"/t/{trace.trace_id}/replay"
    origin = origin_word(trace, step)
    return StepPanel(
        step_id=step.step_id,
        name=step.name,
        kind=step.kind,
        status=step.status,
        effect=step.effect,
        crumbs=_crumbs(trace, step, base),
        origin=origin,
        origin_title=_ORIGIN_TITLES.get(origin, ""),
        facts=tuple(_facts(laid, step)),
        error=error_block(step.failure) if step.failure is not None and source is None else None,
        passed_on=_passed_on(step, source, base),
        payloads=tuple(
            _shaped(view, looking.shape, step, recorded, load) for view in _payloads(trace, step, load, base)
        ),
        details=tuple(_details(step)),
        replay_href=f"{replay}?step={quote(step.path)}",
        edit_href=f"{replay}?edit={quote(step.path)}#{quote(step.step_id)}",
        command=f"playhead show {trace.trace_id}",
        stepping=stepping(trace, step, base=base),
        shapes=tuple(_shapes(trace, step, looking)),
        decided=decided(trace, step, base=base),
        rhythm=rhythm,
        said=said_of(step),
        form=form,
    )


def _rhythm(step: Step, load: Load) -> Rhythm | None:
    """How the answer came in, where it came in pieces."""
    if step.call is None or step.output is None or step.output.size > DECODE_LIMIT:
        return None
    response = load(step.output)
    return rhythm_of(response) if isinstance(response, HttpResponse) else None


def _shapes(trace: Trace, step: Step, looking: Looking) -> Iterator[Tab]:
    """The ways to look at input and output; against the record only where there is one."""
    labels: Mapping[Shape, str] = {"typed": "typed", "raw": "JSON", "recorded": "against the record"}
    for shape, label in labels.items():
        if shape != "recorded" or (trace.summary.replay_of and step.source_step_id):
            yield Tab(label, looking.at(step.step_id, shape=shape), current=shape == looking.shape)


def _crumbs(trace: Trace, step: Step, base: str) -> tuple[Link, ...]:
    above: list[Link] = []
    at = trace.step(step.parent_id) if step.parent_id else None
    while at is not None and len(above) < 64:
        above.append(Link(at.name, f"{base}step={at.step_id}"))
        at = trace.step(at.parent_id) if at.parent_id else None
    return tuple(reversed(above))


def _passed_on(step: Step, source: Step | None, base: str) -> Link | None:
    if source is None or step.failure is None:
        return None
    words = f"{fmt.type_name(step.failure.type)}: {one_line(step.failure.message, 120)}"
    return Link(source.name, f"{base}step={source.step_id}", words)


def _facts(laid: Laid, step: Step) -> Iterator[Shown]:
    call = step.call
    if call is not None and (call.model or call.model_asked):
        asked = f"asked for {call.model_asked}" if call.model_asked and call.model_asked != call.model else ""
        yield Shown(call.model or call.model_asked or "", asked or "the model that answered", "strong")
        yield _time(step)
        yield from _call_facts(step)
    else:
        yield from _facts_below(laid, step)
    if step.occurrence:
        yield Shown(
            f"attempt {step.occurrence + 1}", f"call number {step.occurrence + 1} of this name under its parent"
        )
    waited_ns = sum(until - since for since, until in laid.critical.get(step.step_id, ()))
    if step.parent_id is not None and waited_ns * _WORTH_SAYING > laid.end - laid.start:
        yield Shown(
            f"{fmt.duration(waited_ns)} of the critical path", "so long the whole run waited for this step itself"
        )
    if step.effect:
        yield Shown("effect", "changes the world: a replay never runs it unless told to by name")


def _time(step: Step) -> Shown:
    return fmt.shown_duration(step.duration_ns) if step.ended_ns is not None else Shown("no end recorded", "", "dim")


def _facts_below(laid: Laid, step: Step) -> Iterator[Shown]:
    """For a step that is no model call: the sums over the model calls in it."""
    totals = laid.totals[step.step_id]
    if 1 <= len(totals.models) <= 2:
        yield Shown(", ".join(totals.models), "the models that answered inside this step", "strong")
    yield _time(step)
    if not totals.calls or step.ended_ns is None:
        return
    if totals.calls > 1:
        yield Shown(fmt.plural(totals.calls, "model call"), "inside this step")
    yield Shown(f"{totals.read or 0:,} in / {totals.written or 0:,} out", "tokens of all model calls inside this step")
    cost = totals.cost
    yield Shown(cost.text, f"all model calls inside this step: {cost.title}", cost.tone)


def _call_facts(step: Step) -> Iterator[Shown]:
    call = step.call
    assert call is not None
    usage = call.usage
    if usage.input_tokens is not None or usage.output_tokens is not None:
        sides = ["?" if side is None else f"{side:,}" for side in (usage.input_tokens, usage.output_tokens)]
        yield Shown(f"{sides[0]} in / {sides[1]} out", _buckets(usage))
    elif step.ended_ns is not None:
        yield Shown("? tokens", "the answer held no usage", "dim")
    if step.ended_ns is not None:
        yield fmt.call_cost(step)
    if call.streamed and call.first_token_ns is not None:
        yield Shown(f"first token {fmt.duration(call.first_token_ns)}", f"{call.first_token_ns:,} ns after the request")
    if call.status_code is not None and call.status_code >= 400:
        yield Shown(f"HTTP {call.status_code}", call.error_type or "the provider's answer", "bad")
    if call.retry_after_s is not None:
        yield Shown(f"asked to wait {call.retry_after_s:g} s", "the provider's answer", "warn")
    if usage.web_searches:
        yield Shown(f"web searches: {usage.web_searches:,}", "some providers bill them beside the tokens")
    if call.finish_reason and call.finish_reason not in ("stop", "end_turn"):
        yield Shown(f"finished: {call.finish_reason}", "why the model stopped writing", "warn")


def _buckets(usage: Usage) -> str:
    parts = (
        ("input", usage.input_tokens),
        ("read from cache", usage.cache_read_tokens),
        ("written to cache", usage.cache_write_tokens),
        ("of these for an hour", usage.cache_write_1h_tokens),
        ("output", usage.output_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("audio in", usage.input_audio_tokens),
        ("audio from cache", usage.cache_audio_tokens),
        ("audio out", usage.output_audio_tokens),
    )
    return "tokens: " + ", ".join(f"{name} {number:,}" for name, number in parts if number is not None)


def _payloads(trace: Trace, step: Step, load: Load, base: str) -> Iterator[PayloadView]:
    request = load(step.input) if step.input is not None and step.input.size <= DECODE_LIMIT else None
    given = view_of("Input", step.input, request, step=step, absent="No input was recorded.")
    yield _with_others(given, trace, step, step.input, base)
    response = load(step.output) if step.output is not None and step.output.size <= DECODE_LIMIT else None
    # A failed step's result is its exception, which the error block has told; only at the wire, and of a generator, is
    # there something besides.
    if step.failure is None or response is None or isinstance(response, HttpResponse | Yielded):
        made = view_of("Output", step.output, response, step=step, request=request, absent=_no_output(step))
        yield _with_others(made, trace, step, step.output, base)
    answer = _last_answer(trace, step)
    if answer is not None and answer.output is not None and answer.output.size <= DECODE_LIMIT:
        asked = load(answer.input) if answer.input is not None and answer.input.size <= DECODE_LIMIT else None
        view = view_of("What the model said", answer.output, load(answer.output), step=answer, request=asked)
        if view.conversation is not None:
            yield PayloadView(
                view.title,
                conversation=view.conversation,
                digest=view.digest,
                size=view.size,
                source=Link(answer.name, f"{base}step={answer.step_id}", (answer.call and answer.call.model) or ""),
            )


def _shaped(view: PayloadView, shape: Shape, step: Step, recorded: Step | None, load: Load) -> PayloadView:
    """The same payload as JSON, or against the recorded one, where that is asked for."""
    side = "input" if view.title == "Input" else "output" if view.title == "Output" else ""
    mine: PayloadRef | None = getattr(step, side) if side else None
    other: PayloadRef | None = getattr(recorded, side) if side and recorded is not None else None
    if mine is None or mine.size > DECODE_LIMIT or shape == "typed":
        return view
    value = load(mine)
    if isinstance(value, Unreadable):
        return view
    if shape == "raw":
        text = json.dumps(plain(value), indent=2, ensure_ascii=False)
        return replace(view, conversation=None, block=text_block(text))
    if other is None:
        return replace(view, marks=(*view.marks, "the record has none"))
    changes = compare(opened(load(other)), opened(value)) if other.digest != mine.digest else ()
    told = tuple(field_change(change) for change in changes[:_CHANGES])
    return replace(view, conversation=None, block=None, changes=told)


def _with_others(view: PayloadView, trace: Trace, step: Step, ref: PayloadRef | None, base: str) -> PayloadView:
    found = () if ref is None else tuple(islice(_elsewhere(trace, step, ref, base), _OTHERS))
    return replace(view, same=found) if found else view


def _elsewhere(trace: Trace, step: Step, ref: PayloadRef, base: str) -> Iterator[Link]:
    """Other inputs and outputs of this trace that are the same value: where it came from, and where it went."""
    if ref.size < _TELLING:
        return
    for other in trace.steps:
        for side, at in (("input", other.input), ("output", other.output)):
            if at is not None and at.digest == ref.digest and not (other is step and at is ref):
                yield Link(f"{side} of {other.name}", f"{base}step={other.step_id}", other.path)


def _last_answer(trace: Trace, step: Step) -> Step | None:
    """The last model answer right below a step that failed by itself: most often the reason."""
    if step.failure is None or step.call is not None or step.parent_id is None:
        return None
    calls = [child for child in trace.children(step.step_id) if child.kind == "llm" and child.output is not None]
    return calls[-1] if calls else None


def view_of(  # noqa: PLR0913 - a payload, and what is known around it
    title: str, ref: PayloadRef | None, value: Any, *, step: Step | None = None, request: Any = None, absent: str = ""
) -> PayloadView:
    """A payload as a conversation where it is one, as a typed value otherwise, or in a word why there is nothing."""
    if ref is None:
        return PayloadView(title, absent=absent)
    common: dict[str, Any] = {"digest": ref.digest, "size": fmt.size(ref.size), "marks": tuple(marks_of(ref))}
    if ref.size > DECODE_LIMIT:
        return PayloadView(title, absent=f"{fmt.size(ref.size)}: too large to show here.", **common)
    if isinstance(value, Unreadable):
        return PayloadView(title, absent=value.reason, **common)
    turns = said(value, request=request) if step is not None and step.call is not None else None
    if turns is not None:
        return PayloadView(title, conversation=turns, **common)
    return PayloadView(title, block=block(value, lossy=ref.lossy), **common)


def marks_of(ref: PayloadRef, *, most: int = 5) -> Iterator[str]:
    """What can't be restored, in words: ``$.client can't be restored``, ``$.key redacted``."""
    for entry in ref.lossy[:most]:
        path, _, note = entry.partition(" (")
        yield f"{path} {note.rstrip(')')}" if note else f"{path} can't be restored"
    if len(ref.lossy) > most:
        yield f"{len(ref.lossy) - most} more"


def _no_output(step: Step) -> str:
    if step.failure is not None:
        return "None: it raised."
    if step.status == "running":
        return "Not ended yet."
    if step.status == "waiting":
        return "None: it waits for a human's answer."
    if step.status == "interrupted":
        return "None: the process ended before this step did."
    return "No output was recorded."


def _details(step: Step) -> Iterator[tuple[str, str, str]]:
    """(label, text, href) for what is rarely needed."""
    yield "step", step.step_id, ""
    yield "path", step.path, ""
    yield "kind", step.kind, ""
    yield "started", fmt.exact_time(step.started_ns), ""
    if step.ended_ns is not None:
        yield "ended", fmt.exact_time(step.ended_ns), ""
    if step.source_step_id:
        yield "matched with", step.source_step_id, ""
    for label, text in (("fingerprint", step.fingerprint), ("identity", step.identity)):
        if text:
            yield label, text, ""
    for label, ref in (("input", step.input), ("output", step.output)):
        if ref is not None:
            yield label, f"{ref.digest}  {fmt.size(ref.size)}", f"/p/{quote(ref.digest)}"
    yield from _call_details(step)
    for name, value in step.tags.items():
        yield f"tag {name}", one_line(str(value)), ""
    for note in step.notes:
        if note.kind == "value":
            yield f"value {note.name}", one_line(str(note.value)), ""


def _call_details(step: Step) -> Iterator[tuple[str, str, str]]:
    call = step.call
    if call is None:
        return
    pairs = (
        ("provider", call.provider),
        ("model asked", call.model_asked),
        ("model answered", call.model),
        ("finish reason", call.finish_reason),
        ("response id", call.response_id),
        ("request id", call.request_id),
        ("HTTP status", str(call.status_code) if call.status_code is not None else None),
        ("error type", call.error_type),
        ("price", call.cost.price if call.cost else call.unpriced_because),
    )
    for label, text in pairs:
        if text:
            yield label, text, ""
    if call.usage.input_tokens is not None or call.usage.output_tokens is not None:
        yield "usage", _buckets(call.usage).removeprefix("tokens: "), ""
