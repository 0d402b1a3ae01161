"""What a provider says of a model call comes back as it was said, wherever a call is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from sqlalchemy import select

from tests import recording
from tests.builders import Story
from tests.recording import Project
from tracer.cli import main
from tracer.model import ModelCall, Trace, Usage
from tracer.render import tree
from tracer.served import ending
from tracer.store import Store
from tracer.store.tables import model_calls
from web.view.laid import laid_out
from web.view.looking import Looking
from web.view.panel import step_panel

project = recording.project

USAGE = {name: number for number, name in enumerate(Usage.__dataclass_fields__, 1) if name != "raw"}
REFUSED = {"status_code": 429, "error_type": "rate_limit_error", "retry_after_s": 2.5, "request_id": "req_1"}


def stored(store: Store, told: Story) -> Trace:
    store.apply(told.finish().events, owner="me")
    return store.trace(told.trace_id)


def called(store: Store, told: dict[str, Any], **usage: Any) -> ModelCall:
    story = Story()
    story.call("m", told=told, **usage)
    return stored(store, story).steps[1].call


class TestAStoredCall:
    def test_has_every_bucket_of_its_usage(self, store: Store) -> None:
        raw = {"input_tokens": 1, "odd": [None]}
        assert asdict(called(store, {}, **USAGE, raw=raw).usage) == {**USAGE, "raw": raw}

    def test_has_the_providers_words_for_an_error(self, store: Store) -> None:
        call = called(store, REFUSED)
        assert {name: getattr(call, name) for name in REFUSED} == REFUSED

    def test_says_nothing_that_the_provider_did_not_say(self, store: Store) -> None:
        call = called(store, {})
        assert (call.error_type, call.retry_after_s, call.request_id) == (None, None, None)
        assert asdict(call.usage) == dict.fromkeys(asdict(Usage()))

    @pytest.mark.parametrize("wait", [-1, float("inf"), float("nan"), "2", True, 10**400], ids=str)
    def test_has_no_wait_that_no_clock_counts_up_to(self, store: Store, wait: Any) -> None:
        assert called(store, {"retry_after_s": wait}).retry_after_s is None

    def test_keeps_the_price_that_was_declared_for_it(self, store: Store) -> None:
        price = {"input_nusd": 7, "output_nusd": 11}
        called(store, {"price": price}, input_tokens=1, output_tokens=1)
        with store._engine.connect() as connection:
            assert connection.execute(select(model_calls.c.declared_price)).scalar_one() == price

    def test_is_served_with_all_that_was_said_of_it(self, store: Store) -> None:
        story = Story()
        story.call("m", told=REFUSED, **USAGE)
        source = stored(store, story).steps[1]
        again = Story()
        chat = again.begin("chat", kind="llm", origin="recorded")
        again.end(chat, **ending(source))
        copy = stored(store, again).steps[1].call
        told = ("cost", "unpriced_because")
        assert {**asdict(copy), **dict.fromkeys(told)} == {**asdict(source.call), **dict.fromkeys(told)}


def refused() -> Story:
    story = Story()
    story.call("gpt-4o", told=REFUSED, error=ValueError("slow down"), web_searches=2, input_tokens=9)
    return story


class TestWhereItIsShown:
    def test_the_tree_says_what_the_provider_said_of_an_error(self, store: Store) -> None:
        console = Console(width=160)
        with console.capture() as captured:
            console.print(tree(stored(store, refused())))
        assert "HTTP 429 rate_limit_error · asks to wait 2.5 s · request req_1" in captured.get()

    def test_the_tree_says_nothing_more_of_a_call_that_went_well(self, store: Store) -> None:
        story = Story()
        story.call("gpt-4o", told={"status_code": 200, "request_id": "req_1"})
        console = Console(width=160)
        with console.capture() as captured:
            console.print(tree(stored(store, story)))
        assert "req_1" not in captured.get()

    def test_the_panel_has_it_all(self, store: Store) -> None:
        trace = stored(store, refused())
        panel = step_panel(laid_out(trace, now_ns=0), trace.steps[1], load=store.value, looking=Looking.parse({}))
        facts = {fact.text: fact.title for fact in panel.facts}
        assert facts["HTTP 429"] == "rate_limit_error"
        assert {"asked to wait 2.5 s", "web searches: 2"} <= facts.keys()
        details = {label: text for label, text, _ in panel.details}
        assert (details["request id"], details["error type"]) == ("req_1", "rate_limit_error")

    def test_a_program_reads_it_as_json(self, project: Project) -> None:
        from tracer.reading import open_reading

        with open_reading() as store:
            told = refused()
            stored(store, told)
        shown = json.loads(CliRunner().invoke(main, ["show", told.trace_id, "--json"]).stdout)
        call = shown["steps"][1]["call"]
        assert REFUSED.items() <= call.items()
        assert call["usage"]["web_searches"] == 2
