"""The example of contracts: real contracts, the models that need no server, and a provider that fails as they fail."""

from __future__ import annotations

import json

import pytest
from contracts import pipeline
from contracts.cuad import CATEGORIES, FOLDS, Contract, agree, contracts, fold_of, others, sentences
from contracts.figures import same_law, score
from contracts.page import html, markdown
from contracts.pipeline import Clause, Review, law_by_pattern, review, shortened
from contracts.rules import LawIsCited, NothingAdded, OwnWords
from hypothesis import given
from hypothesis import strategies as st

import tracer
from replay import fail, replay
from router import Target
from tests.loopback import Loopback, Reply
from tracer import FREE, recorder
from tracer.decisions import decision_in
from tracer.store import open_store

#: A short one, that has a clause about its law.
CONTRACT = next(contract for contract in contracts() if contract.id == "ecosciencesolutionsinc")
GOOD_LAW = '{"governing_law": "Florida"}'


def opened():
    assert tracer.flush()
    return open_store(recorder.current_config().database_url)


def latest():
    with opened() as store:
        return store.trace(store.resolve("latest"))


def decisions(trace, name):
    found = [decision_in(step.tags) for step in trace.steps if step.name == name]
    return [decision for decision in found if decision is not None]


@pytest.fixture
def without_llm(monkeypatch):
    """The system as it runs where the language model can't."""
    monkeypatch.setattr(pipeline.summaries, "targets", (shortened,))
    monkeypatch.setattr(pipeline.laws, "targets", (law_by_pattern,))


@pytest.fixture
def provider(monkeypatch):
    """The language model as whatever this server says, in order: two summaries, then the law."""
    with Loopback() as server:
        llm = Target("smollm2-135m", base_url=server.url, price=FREE)
        monkeypatch.setattr(pipeline.summaries, "targets", (llm, shortened))
        monkeypatch.setattr(pipeline.laws, "targets", (llm, law_by_pattern))
        yield server


def saying(*texts):
    return [Reply(words=(text,)) for text in texts]


class TestTheContracts:
    def test_are_never_read_by_a_model_that_was_trained_on_them(self):
        for contract in contracts():
            assert contract.id not in {other.id for other in others(fold_of(contract.id))}
        assert sum(len(others(fold)) for fold in range(FOLDS)) == len(contracts()) * (FOLDS - 1)

    def test_that_are_new_are_read_by_models_trained_on_all(self):
        assert fold_of("another") is None
        assert others(None) == contracts()

    @given(st.text(alphabet="ab. ;\n\u201cX1", max_size=200))
    def test_sentences_lie_in_order_and_leave_out_only_white_space(self, text):
        spans = sentences(text)
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        assert edges == sorted(edges)
        kept = "".join(text[slice(*span)] for span in spans)
        assert "".join(kept.split()) == "".join(text.split())


class TestAReview:
    def test_is_filed_as_json_markdown_and_a_page_and_can_be_read_back(self, home, without_llm):
        read = review(CONTRACT.id, CONTRACT.text)
        assert {clause.category for clause in read.clauses} <= set(CATEGORIES)
        # where it stands is told without the full stop at its end
        assert all(CONTRACT.text[each.start : each.end] in each.text for each in (*read.clauses, *read.dropped))
        filed = json.loads((home / "reviews" / f"{CONTRACT.id}.json").read_text(encoding="utf-8"))
        assert (filed["contract"], len(filed["clauses"])) == (CONTRACT.id, len(read.clauses))
        assert (home / "reviews" / f"{CONTRACT.id}.html").exists()
        trace = latest()
        asked = [step.call.model for step in trace.steps if step.kind == "llm"]
        count = len(read.clauses) + len(read.dropped)
        assert asked == ["clause-lr", *["risk-playbook"] * count, *["clause-check"] * count]
        assert (trace.summary.cost_nusd, trace.summary.unpriced) == (0, 0)
        with opened() as store:
            assert store.value(trace.root.output) == read

    def test_finds_what_lawyers_marked_and_the_check_throws_out_what_they_did_not(self, home, without_llm):
        read = review(CONTRACT.id, CONTRACT.text)
        before = score([(CONTRACT, (*read.clauses, *read.dropped))])
        after = score([(CONTRACT, read.clauses)])
        assert after.recall.count >= 1
        assert after.precision.value > before.precision.value

    def test_replayed_is_the_same_and_files_nothing(self, home, without_llm):
        read = review(CONTRACT.id, CONTRACT.text)
        file = home / "reviews" / f"{CONTRACT.id}.json"
        file.unlink()
        again = replay("latest")
        assert (again.output, again.live, file.exists()) == (read, 0, False)


class TestAFailure:
    def test_a_law_in_json_that_does_not_parse_is_repaired(self, home, provider):
        provider.next(*saying("x", "x", "Sure! ```json\n{'governing_law': 'Florida',}\n```"))
        read = review(CONTRACT.id, CONTRACT.text)
        assert (read.law, read.law_by) == ("Florida", "smollm2-135m")
        assert [decision.chosen for decision in decisions(latest(), "checked")] == ["repaired"]

    def test_a_valid_law_that_the_contract_does_not_name_is_asked_for_again(self, home, provider):
        provider.next(*saying("x", "x", '{"governing_law": "England and Wales"}', GOOD_LAW))
        read = review(CONTRACT.id, CONTRACT.text)
        assert (read.law, read.law_by) == ("Florida", "smollm2-135m")
        (decided,) = decisions(latest(), "checked")
        assert (decided.chosen, decided.attempts) == ("asked again", 2)
        assert "law is cited" in decided.reason

    def test_and_where_it_stays_wrong_the_pattern_reads_the_clause(self, home, provider):
        provider.next(*saying("x", "x", '{"governing_law": "Ohio"}', '{"governing_law": "Ohio"}'))
        assert review(CONTRACT.id, CONTRACT.text).law_by == "law_by_pattern"
        (decided,) = decisions(latest(), "format")
        assert (decided.chosen, decided.fell_back) == ("law_by_pattern", True)

    def test_a_summary_that_adds_to_the_clause_is_not_taken(self, home, provider):
        provider.next(*saying("The fine for termination is 900,000 dollars.", "x", GOOD_LAW))
        read = review(CONTRACT.id, CONTRACT.text)
        assert {each.said_by for each in (*read.clauses, *read.dropped)} == {None, "shortened"}
        first = next(step for step in latest().steps if step.name == "require" and "summarise" in step.path)
        assert "nothing added" in first.failure.message or "900,000" in first.failure.message

    @pytest.mark.parametrize("headers", [{}, {"retry-after-ms": "20"}], ids=["no-retry-after", "retry-after"])
    def test_a_rate_limit_is_waited_out(self, home, provider, headers):
        provider.next(Reply(status=429, headers=headers), *saying("x", "x", GOOD_LAW))
        read = review(CONTRACT.id, CONTRACT.text)
        assert read.law_by == "smollm2-135m"
        decided = decisions(latest(), "summarise")[0]
        assert decided.retries == 1
        assert decided.waited_s >= (0.02 if headers else 0.0)


class TestAReplayWithAFault:
    @pytest.mark.parametrize("fault", ["timeout", "rate_limited", "bad_json", "empty", "refusal"])
    def test_shows_the_law_read_by_the_next_in_line(self, home, provider, fault):
        provider.next(*saying("x", "x", GOOD_LAW))
        assert review(CONTRACT.id, CONTRACT.text).law_by == "smollm2-135m"
        again = replay("latest", fail("format", fault), on_divergence="live")
        tracer.flush()
        assert (again.output.law_by, again.output.law) == ("law_by_pattern", "Florida")
        with opened() as store:
            (decided,) = decisions(store.trace(again.trace_id), "format")
        assert (decided.chosen, decided.fell_back) == ("law_by_pattern", True)
        # a timeout uses the deadline up, so that nothing is left for a second try
        assert decided.retries == (1 if fault == "rate_limited" else 0)

    def test_at_the_extraction_files_nothing(self, home, without_llm):
        review(CONTRACT.id, CONTRACT.text)
        again = replay("latest", fail("extract", "bad_json"))
        assert again.error is not None
        assert "clause-lr" in str(again.error)


class TestTheRules:
    CLAUSE = "Either Party may terminate this Agreement upon 30 days notice. The laws of the State of New York govern."

    def test_nothing_added_names_what_is_not_in_the_clause(self):
        rule = NothingAdded(self.CLAUSE)
        assert rule.offence("A party may leave with 30 days notice.") is None
        assert rule.offence("A party may leave with 60 days notice, in Ohio.") == "60, Ohio: not in the clause"

    def test_own_words_refuses_what_would_fit_every_clause(self):
        rule = OwnWords(self.CLAUSE)
        assert rule.offence("Parties can terminate upon notice.") is None
        assert rule.offence("This clause of a contract means an agreement.") == "it says nothing of its own"
        assert "0%" in rule.offence("Confidential information about employees.")

    def test_a_law_has_to_stand_in_the_clause(self):
        rule = LawIsCited(self.CLAUSE)
        assert rule.offence('{"governing_law": "New York"}') is None
        assert rule.offence('{"governing_law": null}') is None
        assert "Ohio" in rule.offence('{"governing_law": "Ohio"}')


class TestTheFigures:
    def of(self, spans, places):
        given_spans = {**dict.fromkeys(CATEGORIES, ()), "Exclusivity": spans}
        clauses = [Clause("Exclusivity", "", *place, "low", "") for place in places]
        return score([(Contract("a", "", "", "", given_spans), clauses)])

    def test_count_clauses_that_are_right_and_spans_that_were_found(self):
        told = self.of(spans=((0, 10), (50, 60)), places=[(0, 8), (8, 10), (30, 40)])
        assert (told.precision.count, told.precision.of) == (2, 3)
        assert (told.recall.count, told.recall.of) == (1, 2)

    def test_of_nothing_divide_by_nothing(self):
        assert self.of(spans=(), places=[]).precision.value is None

    @given(st.tuples(st.integers(0, 20), st.integers(1, 20)), st.tuples(st.integers(0, 20), st.integers(1, 20)))
    def test_that_two_passages_agree_is_mutual(self, one, other):
        spans = [(start, start + length) for start, length in (one, other)]
        assert agree(*spans) == agree(*reversed(spans))

    def test_a_law_is_the_lawyers_however_it_is_written(self):
        assert same_law("the State of New York", "New York")
        assert not same_law("Ohio", "New York")
        assert not same_law(None, "New York")


class TestThePage:
    def test_takes_nothing_of_the_contract_for_markup(self):
        clause = Clause("Exclusivity", "<b>|x|</b>", 0, 10, "high", "*why*")
        read = Review("a", (clause,), ())
        assert "<b>" not in html(read)
        row = markdown(read).splitlines()[-1]
        assert row.count("|") - row.count("\\|") == 6
