"""The example of a long document: a real contract that is longer than the language model's window."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contracts.cuad import contracts
from hypothesis import given
from hypothesis import strategies as st
from long_document import pipeline
from long_document.gguf_tokens import Tokens
from long_document.pipeline import ANSWER, WINDOW, beginning, beginnings, cut, in_parts, summarise
from support.local_llm import weights

import tracer
from replay import edit, fail, replay
from router import PromptTooLong, Target, count
from tests.loopback import Loopback, Reply
from tracer import FREE, recorder
from tracer.decisions import decision_in
from tracer.store import open_store

TEXT = next(contract for contract in contracts() if contract.id == "chipmostechnologiesbermudaltd").text
#: What the server says of each chunk: it holds to the rules for those that speak of the agreement.
SAID = Reply(words=("The agreement is made ", "between the parties."))
needs_weights = pytest.mark.skipif(weights() is None, reason="the model's weights are not installed")


def opened():
    assert tracer.flush()
    return open_store(recorder.current_config().database_url)


def trace_of(trace_id="latest"):
    with opened() as store:
        return store.trace(store.resolve(trace_id))


def decisions(trace, name):
    return [decision_in(step.tags) for step in trace.steps if step.name == name and step.kind == "router"]


@pytest.fixture
def provider(monkeypatch):
    with Loopback() as server:
        llm = Target("smollm2-135m", base_url=server.url, context_tokens=2048, price=FREE)
        for router, last in (
            (pipeline.at_once, in_parts),
            (pipeline.notes, beginning),
            (pipeline.reductions, beginnings),
        ):
            monkeypatch.setattr(router, "targets", (llm, last))
        yield server


class TestALongContract:
    def test_is_refused_in_one_go_before_anything_is_sent_and_then_read_in_parts(self, home, provider):
        done = summarise(TEXT)
        trace = trace_of()
        (decided,) = decisions(trace, "at_once")
        assert (decided.chosen, decided.fell_back) == ("in_parts", True)
        (refused,) = [step for step in trace.steps if step.failure is not None and step.failure.type == "PromptTooLong"]
        assert not [step for step in trace.steps if step.path.startswith(f"{refused.path}/")]
        assert max(count(seen.body["messages"]) for seen in provider.seen) < 2048 - ANSWER
        assert done.levels >= 2
        assert len(done.notes) == len([step for step in trace.steps if step.name == "map"])

    def test_is_cited_by_chunks_that_are_there(self, home, provider):
        done = summarise(TEXT)
        known = [(chunk.start, chunk.end) for chunk in cut(TEXT)]
        assert done.cites
        assert set(done.cites) <= set(known)

    def test_loses_nothing_to_its_chunks(self):
        chunks = cut(TEXT)
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert all(chunk.tokens <= WINDOW for chunk in chunks)


class TestAShortContract:
    def test_is_read_in_one_go(self, home, provider):
        provider.next(SAID)
        done = summarise("The agreement is made between two parties. " * 4)
        assert (done.by, done.cites, len(provider.seen)) == ("smollm2-135m", (), 1)


class TestAFailure:
    def noted(self, provider, reply):
        """What came of the first chunk, where its call was answered so."""
        provider.next(reply)
        chunk = cut(TEXT)[0]

        @tracer.workflow
        def one():
            return pipeline.note(chunk)

        done = one()
        (decided,) = decisions(trace_of(), "note")
        return done, decided

    def test_a_stream_that_is_cut_is_read_again(self, home, provider):
        provider.next(replace(SAID, cut_after=1))
        done, decided = self.noted(provider, SAID)
        assert (done.by, decided.retries) == ("smollm2-135m", 1)

    @pytest.mark.parametrize(
        "wrong",
        [
            "The parties agreed on 77 dollars.",
            "The agreement is made between the",
            "Confidential employees resign soon.",
        ],
        ids=["adds", "cut-off", "off-topic"],
    )
    def test_a_sentence_that_is_well_formed_and_wrong_is_not_taken(self, home, provider, wrong):
        done, decided = self.noted(provider, Reply(words=(wrong,)))
        assert (done.by, decided.chosen, decided.fell_back) == ("beginning", "beginning", True)
        assert done.text.endswith("[0]")

    @pytest.mark.parametrize("headers", [{}, {"retry-after-ms": "20"}], ids=["no-retry-after", "retry-after"])
    def test_a_rate_limit_is_waited_out(self, home, provider, headers):
        provider.next(Reply(status=429, headers=headers))
        done, decided = self.noted(provider, SAID)
        assert (done.by, decided.retries) == ("smollm2-135m", 1)


class TestAReplay:
    def test_with_one_edited_chunk_runs_only_what_it_reaches(self, home, provider):
        done = summarise(TEXT)
        before = len(provider.seen)
        chunks = cut(TEXT)
        edited = tuple(replace(each, text=f"Amended. {each.text}") if each.number == 0 else each for each in chunks)
        again = replay("latest", edit("cut", edited), on_divergence="live")
        assert again.error is None, again.error
        trace = trace_of(again.trace_id)
        ran = [step.tags["key"] for step in trace.steps if step.name == "map" and step.origin == "live"]
        assert ran == [0]
        reduced = [step for step in trace.steps if step.name == "reduce"]
        reach = [step.tags["key"] for step in reduced if step.origin == "live"]
        assert 0 < len(reach) < len(reduced)
        assert all(key.startswith("0-") for key in reach)
        assert len(provider.seen) == before + 1 + len(reach)
        assert again.output.text != done.text

    @pytest.mark.parametrize(
        ("fault", "retries"), [("cut_stream", 1), ("rate_limited", 1), ("timeout", 0), ("empty", 0)]
    )
    def test_with_a_fault_in_one_chunk_shows_the_next_writer_taking_over(self, home, provider, fault, retries):
        provider.route(cut(TEXT)[0].text, SAID)
        assert summarise(TEXT).notes[0].by == "smollm2-135m"
        again = replay("latest", fail("map[0]", fault), on_divergence="live")
        trace = trace_of(again.trace_id)
        assert again.output.notes[0].by == "beginning"
        first = next(step for step in trace.steps if step.path.endswith("/map/note"))
        decided = decision_in(first.tags)
        assert (decided.chosen, decided.retries) == ("beginning", retries)


@needs_weights
class TestTheTokenizer:
    def test_counts_as_the_servers_own_does(self):
        # counted by llama.cpp's /tokenize on the same weights
        tokens = Tokens(weights())
        assert len(tokens.encode(TEXT)) == 2911
        assert list(tokens.encode("Hello  world 123 it's \u00e9")) == [
            19556,
            216,
            905,
            216,
            33,
            34,
            35,
            357,
            506,
            26411,
        ]

    @given(text=st.text())
    def test_counts_whatever_is_written(self, text):
        assert (len(TOKENS.encode(text)) > 0) == (text != "")

    def test_refuses_a_file_that_is_none(self, tmp_path):
        (tmp_path / "x.gguf").write_bytes(b"nothing of the kind")
        with pytest.raises(ValueError, match="no GGUF"):
            Tokens(tmp_path / "x.gguf")

    def test_decides_what_is_refused(self):
        target = replace(pipeline.SMOLLM2, launcher=None, call=lambda _: "unasked")
        with pytest.raises(PromptTooLong, match="smollm2-135m takes 1988"):
            pipeline.said(pipeline.Attempt(target, 1, 1), TEXT, TEXT)


if weights() is not None:
    TOKENS = Tokens(weights())
