"""A step to take along: as Python that replays it, as a test, as a curl command. Pure.

Whoever pastes such a text runs it. So nothing recorded stands in it but as a literal of its language, and no secret:
the record holds none, and what a store's address holds stays in the environment.
"""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import dataclass
from typing import Any, Iterator, Literal, Mapping, Sequence, get_args
from urllib.parse import urlsplit

from replay.errors import PlanError
from replay.plan import Rule, parse_rule
from tracer.config import shown_url
from tracer.format import short_id
from tracer.model import Step, Trace
from tracer.providers import provider_of
from tracer.wire import HttpRequest
from web.view.text import one_line, visible

Form = Literal["python", "test", "curl"]
FORMS: tuple[Form, ...] = get_args(Form)
TITLES: Mapping[Form, str] = {"python": "Python", "test": "pytest", "curl": "curl"}
#: Characters of a text that stands in the panel; a longer one has only its own address.
INLINE = 6_000
#: Characters of one argument, of which a system takes some 128,000 bytes.
_ARGUMENT = 30_000
_HEADERS = frozenset({"content-type", "accept", "openai-beta", "anthropic-beta", "anthropic-version"})
_VERBS = {
    "--model": "substitute",
    "--edit": "edit",
    "--fail": "fail",
    "--live": "live",
    "--serve": "serve",
    "--stand-in": "stand_in",
    "--allow": "allow",
    "--from": "from",
}
_FUNCTIONS = {"from": "from_step"}
_OPTIONS = {
    "--on-divergence": "on_divergence={!r}",
    "--budget-usd": "budget_usd={}",
    "--max-live-calls": "max_live_calls={}",
    "--verify": "verify=True",
    "--unguarded": "guarded=False",
}
#: The variable of a provider's key, where it is not the provider's name with _API_KEY behind it, and the header.
_KEYS = {
    "anthropic": ("x-api-key: ", "ANTHROPIC_API_KEY"),
    "azure": ("api-key: ", "AZURE_OPENAI_API_KEY"),
    "google": ("x-goog-api-key: ", "GEMINI_API_KEY"),
    "x-ai": ("authorization: Bearer ", "XAI_API_KEY"),
    "local": ("authorization: Bearer ", "API_KEY"),
    "openai-compatible": ("authorization: Bearer ", "API_KEY"),
}


class NothingToCopy(Exception):
    """Why there is no such text."""


@dataclass(frozen=True, slots=True)
class Place:
    """The store that a text has to name: its address, and the home that holds its key."""

    database_url: str
    home: str


@dataclass(frozen=True, slots=True)
class Copy:
    """One text. ``why_not`` where there is none; without ``text``, it is to be had at ``href`` alone."""

    form: Form
    title: str
    href: str
    text: str = ""
    why_not: str = ""
    note: str = ""
    #: The cassette that a test needs beside it.
    cassette_href: str = ""


def python_of(trace: Trace, step: Step, place: Place | None) -> str:
    """A program that replays the trace, from this step on live; of a replay, one that makes the same replay again.
    Raises NothingToCopy."""
    summary = trace.summary
    if trace.entry is None or "<locals>" in trace.entry.qualname:
        raise NothingToCopy(f"{summary.workflow} was defined inside another function: a program can't import it.")
    if summary.status == "running":
        raise NothingToCopy("It still runs.")
    origin, arguments, names = trace.trace_id, list[str](), set[str]()
    if summary.replay_of is not None:
        origin = summary.replay_of
        arguments, names = _replayed((trace.plan or {}).get("rules") or ())
        said = f"Makes the replay {short_id(trace.trace_id)} of {one_line(summary.workflow, 60)} again"
    elif step.parent_id is not None:
        arguments, names = [f"from_step({step.path!r})"], {"from_step"}
        said = f"Replays {one_line(summary.workflow, 60)}, live from this step on: its model calls are made, and cost"
    else:
        said = f"Replays {one_line(summary.workflow, 60)}: every call is served from the record, and costs nothing"
    call = ", ".join([repr(origin), *arguments])
    lines = [f'"""{_quiet(said)}."""', ""]
    lines += ["import os", ""] if place is not None and _is_secret(place) else []
    lines += ["import tracer"] if place is not None else []
    lines += [f"from replay import {', '.join(sorted({*names, 'replay'}))}", ""]
    lines += [*_configured(place), f"result = replay({call})"]
    return "\n".join([*lines, "print(result.trace_id, result.stopped or result.error or result.output)", ""])


def _quiet(words: str) -> str:
    """Words in a docstring: they can't end it."""
    return visible(words).replace("\\", "/").replace('"', "'")


def _configured(place: Place | None) -> list[str]:
    if place is None:
        return []
    address = 'os.environ["PLAYHEAD_DATABASE_URL"]' if _is_secret(place) else repr(place.database_url)
    return [f"tracer.configure(database_url={address}, home={place.home!r})"]


def _is_secret(place: Place) -> bool:
    return shown_url(place.database_url) != place.database_url


def _replayed(words: Sequence[Any]) -> tuple[list[str], set[str]]:
    """The arguments that say a recorded plan, and the functions that they name."""
    rules, options = list[str](), list[str]()
    names = set[str]()
    for word in map(str, words):
        option, _, text = word.partition(" ")
        if option in _VERBS:
            rule = _rule(_VERBS[option], text)
            names.add(_FUNCTIONS.get(rule.verb, rule.verb))
            rules.append(_called(rule))
        elif option in _OPTIONS:
            options.append(_OPTIONS[option].format(text))
        else:
            raise NothingToCopy(f"Its plan says more than a program can: {one_line(word, 80)}.")
    return [*rules, *options], names


def _rule(verb: str, text: str) -> Rule:
    try:
        return parse_rule(verb, text)
    except PlanError as error:
        raise NothingToCopy(f"Its plan can't be read: {error}.") from None


def _called(rule: Rule) -> str:
    name, said = _FUNCTIONS.get(rule.verb, rule.verb), repr(rule.pattern)
    if rule.verb == "substitute":
        said += f", model={rule.value!r}"
    elif rule.verb in {"edit", "fail", "stand_in"}:
        literal = repr(rule.value)
        try:
            ast.literal_eval(literal)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise NothingToCopy(f"What {rule.pattern} was given can't be written as Python.") from None
        said += f", {literal}"
    return f"{name}({said})"


def curl_of(request: Any) -> str:
    """The command that sends a recorded request to its endpoint again. Raises NothingToCopy."""
    if not isinstance(request, HttpRequest):
        raise NothingToCopy("It was not recorded as a request over HTTP.")
    address = urlsplit(request.url)
    provider = provider_of(address.hostname or "", address.path)
    if provider == "aws":
        raise NothingToCopy("Amazon wants each request signed with a key of its own.")
    parts = ["curl", *_flags(request), shlex.quote(_printable(request.url))]
    parts += [f"-H {shlex.quote(_printable(f'{name}: {value}'))}" for name, value in _headers(request)]
    header, variable = _key(provider, address.path)
    parts.append(f'-H "{header}${variable}"')
    return " \\\n  ".join([" ".join(parts[:1]), *parts[1:], *_body(request.body)]) + "\n"


def _flags(request: HttpRequest) -> Iterator[str]:
    if isinstance(request.body, Mapping) and request.body.get("stream"):
        yield "--no-buffer"
    if request.method != ("GET" if request.body is None else "POST"):
        yield f"--request {shlex.quote(_printable(request.method))}"


def _headers(request: HttpRequest) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in request.headers if name.lower() in _HEADERS)


def _key(name: str, path: str) -> tuple[str, str]:
    """The header of a provider's key, and the variable that it is in."""
    if name == "google" and "/openai/" in path:
        return "authorization: Bearer ", "GEMINI_API_KEY"
    if name.startswith("huggingface"):
        return "authorization: Bearer ", "HF_TOKEN"
    known = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name).upper()
    return _KEYS.get(name, ("authorization: Bearer ", f"{known}_API_KEY"))


def _body(body: Any) -> list[str]:
    if body is None:
        return []
    text = body if isinstance(body, str) else _json(body)
    _printable(text.replace("\n", "").replace("\t", ""))
    quoted = shlex.quote(text)
    if len(quoted) <= _ARGUMENT:
        return [f"--data-raw {quoted}"]
    end = "END_OF_BODY"
    if end in text:
        raise NothingToCopy("It is too long to be said in a command.")
    return [f"--data-binary @- <<'{end}'\n{text}\n{end}"]


def _json(body: Any) -> str:
    """As short as it can be; what one could not see is escaped."""
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        if visible(text) == text:
            return text
        return json.dumps(body, separators=(",", ":")).replace("\x7f", "\\u007f")
    except (TypeError, ValueError, RecursionError):
        raise NothingToCopy("Its body was not kept whole.") from None


def _printable(text: str) -> str:
    if visible(text) != text or "\n" in text:
        raise NothingToCopy("It holds characters that one could not see in a command.")
    return text
