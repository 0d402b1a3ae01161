"""Finding traces again: names, pages, filters, statuses, values."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from tests.builders import NEW_YEAR_NS, Story
from tracer import codec
from tracer.errors import AmbiguousTrace, ConfigError, TraceNotFound
from tracer.model import Entry, Note
from tracer.store import Filter, Store, open_store
from tracer.store.query import parse_since

SECOND_NS = 10**9


def tell(store: Store, *stories: Story, owner: str = "me") -> None:
    for told in stories:
        store.apply(told.events, owner=owner)


def ids(rows: list[Any]) -> list[str]:
    return [row.trace_id for row in rows]


class TestResolve:
    def test_latest_is_the_trace_that_began_last(self, store: Store) -> None:
        newest = Story(number=1, at_ns=NEW_YEAR_NS + SECOND_NS).finish()
        tell(store, newest, Story(number=2).finish())
        assert store.resolve("latest") == newest.trace_id

    def test_an_id_and_any_prefix_that_only_one_trace_has(self, store: Store) -> None:
        first, second = Story(number=0xAB << 120), Story(number=0xAC << 120)
        tell(store, first, second)
        assert store.resolve(first.trace_id) == first.trace_id
        assert store.resolve("ab") == first.trace_id
        assert store.resolve(" AC00 ") == second.trace_id

    def test_a_prefix_of_several_lists_some_of_them(self, store: Store) -> None:
        stories = [Story(number=(0xAB << 120) + index) for index in range(7)]
        tell(store, *stories)
        with pytest.raises(AmbiguousTrace) as caught:
            store.resolve("a")
        assert all(told.trace_id in str(caught.value) for told in stories[:5])
        assert stories[5].trace_id not in str(caught.value)
        assert "..., " not in str(caught.value)

    @pytest.mark.parametrize("name", ["ffff", "f" * 33, "", "support", "a%", "_"])
    def test_a_name_that_no_trace_has(self, store: Store, name: str) -> None:
        tell(store, Story(number=0xAB << 120))
        with pytest.raises(TraceNotFound) as caught:
            store.resolve(name)
        assert "\n" not in str(caught.value)

    def test_the_latest_of_an_empty_store(self, store: Store) -> None:
        with pytest.raises(TraceNotFound, match="no trace is recorded"):
            store.resolve("latest")

    def test_a_trace_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(TraceNotFound):
            store.trace("0" * 32)


class TestTrace:
    def test_everything_that_was_said_of_a_trace_comes_back(self, store: Store) -> None:
        entry = {"module": "app", "qualname": "support", "file": None, "root": "."}
        told = Story(version="7", entry=entry, replay_of="ab" * 16, plan={"edit": "x"}, tags={"a": 1})
        draft = told.begin("draft", effect=True, origin="substituted", source="cd" * 8, tags={"b": 1, "c": 1})
        told.note(draft, "now", 17)
        told.note(draft, "now", 18, occurrence=1)
        told.note(draft, "quality", 0.9, kind="score")
        told.end(draft, "text", tags={"c": 2})
        tell(store, told.finish(plan={"report": {"served": 3}}))
        trace = store.trace(told.trace_id)
        assert trace.entry == Entry("app", "support", None, ".")
        assert trace.plan == {"edit": "x", "report": {"served": 3}}
        assert (trace.owner, trace.summary.version, trace.summary.replay_of) == ("me", "7", "ab" * 16)
        step = trace.steps[1]
        assert (step.effect, step.origin, step.source_step_id) == (True, "substituted", "cd" * 8)
        assert step.tags == {"b": 1, "c": 2}
        assert step.notes == (
            Note("value", "now", 0, step.notes[0].at_ns, 17),
            Note("value", "now", 1, step.notes[1].at_ns, 18),
            Note("score", "quality", 0, step.notes[2].at_ns, 0.9),
        )

    def test_a_failure_comes_back_whole(self, store: Store) -> None:
        wrapped = RuntimeError("no draft")
        wrapped.__cause__ = TimeoutError("slow")
        told = Story().finish(error=wrapped)
        tell(store, told)
        failure = store.trace(told.trace_id).root.failure
        assert (failure.type, failure.message, failure.cause_is_explicit) == ("RuntimeError", "no draft", True)
        assert failure.cause.type == "TimeoutError"

    def test_a_model_call_comes_back_with_its_usage_and_cost(self, store: Store) -> None:
        told = Story()
        told.call(
            "gpt-4o-mini",
            input_tokens=10,
            output_tokens=5,
            cache_read_tokens=4,
            reasoning_tokens=2,
            raw={"prompt_tokens": 10},
            told={
                "finish_reason": "stop",
                "response_id": "r1",
                "status_code": 200,
                "streamed": True,
                "first_token_ns": 9,
            },
        )
        tell(store, told.finish())
        call = store.trace(told.trace_id).steps[1].call
        assert (call.usage.cache_read_tokens, call.usage.reasoning_tokens) == (4, 2)
        assert call.usage.input_audio_tokens is None
        assert call.usage.raw == {"prompt_tokens": 10}
        assert (call.finish_reason, call.response_id, call.status_code) == ("stop", "r1", 200)
        assert (call.streamed, call.first_token_ns) == (True, 9)
        assert call.cost.price.startswith("genai-prices")
        assert call.unpriced_because is None

    def test_some_of_its_steps_are_the_same_as_among_all(self, store: Store) -> None:
        told = Story()
        for index in range(4):
            draft = told.begin("draft")
            told.note(draft, "quality", index / 4, kind="score")
            told.end(draft, f"text {index}")
        tell(store, told.finish(error=ValueError("no")))
        whole = store.trace(told.trace_id)
        some = store.trace(told.trace_id, [whole.steps[0].step_id, whole.steps[3].step_id, "ab" * 8])
        assert some.summary == whole.summary
        assert some.steps == (whole.steps[0], dataclasses.replace(whole.steps[3], seq=1))

    def test_many_values_at_once(self, store: Store) -> None:
        told = Story()
        for index in range(600):
            told.step("say", f"word {index}")
        tell(store, told.finish())
        refs = [step.output for step in store.trace(told.trace_id).steps]
        found = store.payloads(ref.digest for ref in refs)
        assert [codec.decode(found[ref.digest]) for ref in refs[1:]] == [f"word {index}" for index in range(600)]


class TestPaging:
    def test_pages_hold_every_trace_once_newest_first(self, store: Store) -> None:
        # three at a time began in the same nanosecond
        stories = [Story(at_ns=NEW_YEAR_NS + index // 3).finish() for index in range(20)]
        tell(store, *stories)
        seen, before = [], None
        while page := store.traces(limit=6, before=before):
            assert len(page) <= 6
            seen += page
            before = (page[-1].started_ns, page[-1].trace_id)
        assert ids(seen) == sorted(ids(seen), reverse=True)
        assert set(ids(seen)) == {told.trace_id for told in stories}
        assert [row.started_ns for row in seen] == sorted((row.started_ns for row in seen), reverse=True)

    def test_a_page_needs_one_query_and_no_payload(self, store: Store) -> None:
        tell(store, *[Story(input="x" * 5_000).finish(error=ValueError("no")) for _ in range(30)])
        asked: list[str] = []
        event.listen(store._engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        assert len(store.traces()) == 30
        read = [statement for statement in asked if statement.startswith("SELECT")]
        assert len(read) == 1
        assert "payloads" not in read[0]
        assert "count(" not in read[0].lower()

    @pytest.mark.parametrize(
        ("query", "index"),
        [("", "traces_newest"), ("status=failed", "traces_failed"), ("workflow=support", "traces_by_workflow")],
    )
    def test_a_page_is_read_off_an_index_and_never_sorted(self, tmp_path: Path, query: str, index: str) -> None:
        with open_store(tmp_path / "a.db") as store:
            asked: list[tuple[str, Any]] = []
            event.listen(store._engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
            store.traces(Filter.parse(query), before=(NEW_YEAR_NS, "ff"))
            statement, parameters = next(each for each in asked if each[0].startswith("SELECT"))
            with store._engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        assert any(f"USING INDEX {index} " in f"{step.detail} " for step in plan)
        assert not any("TEMP B-TREE" in step.detail for step in plan)


class TestStatus:
    """Running and interrupted are derived: from the end that was not written, and from who is still alive."""

    def test_every_end_has_its_word(self, store: Store) -> None:
        ended = {
            "completed": Story().finish(),
            "failed": Story().finish(error=ValueError("no")),
            "cancelled": Story().finish(outcome="cancelled"),
            "stopped": Story().finish(outcome="stopped"),
        }
        tell(store, *ended.values())
        for status, told in ended.items():
            assert store.trace(told.trace_id).summary.status == status
            assert ids(store.traces(Filter(statuses=(status,)))) == [told.trace_id]

    def test_without_an_end_it_runs_as_long_as_its_process_does(self, store_url: str) -> None:
        alive = {"old": False, "new": True}
        with open_store(store_url, alive=alive.__getitem__) as store:
            dead, running, ended = Story(), Story(), Story().finish()
            dead.begin("draft")
            running.begin("draft")
            tell(store, dead, ended, owner="old")
            tell(store, running, owner="new")
            assert store.trace(dead.trace_id).summary.status == "interrupted"
            assert store.trace(running.trace_id).summary.status == "running"
            assert [step.status for step in store.trace(dead.trace_id).steps] == ["interrupted"] * 2
            assert [step.status for step in store.trace(running.trace_id).steps] == ["running"] * 2
            assert ids(store.traces(Filter(statuses=("interrupted",)))) == [dead.trace_id]
            assert ids(store.traces(Filter(statuses=("running",)))) == [running.trace_id]
            both = store.traces(Filter(statuses=("running", "completed")))
            assert set(ids(both)) == {running.trace_id, ended.trace_id}
            assert store.facets().statuses == {"interrupted": 1, "running": 1, "completed": 1}
            alive["new"] = False
            assert store.trace(running.trace_id).summary.status == "interrupted"

    def test_with_nobody_to_ask_an_open_trace_runs(self, store: Store) -> None:
        told = Story()
        tell(store, told)
        assert store.traces()[0].status == "running"
        assert store.traces(Filter(statuses=("interrupted",))) == []

    def test_a_process_that_said_goodbye_left_its_open_traces_interrupted(self, store: Store) -> None:
        store.announce("me", pid=os.getpid())
        tell(store, Story())
        assert store.facts().running == ("me",)
        assert store.traces()[0].status == "running"
        store.withdraw("me")
        assert store.facts().running == ()
        assert store.traces()[0].status == "interrupted"
        store.announce("me", pid=os.getpid())
        assert store.traces()[0].status == "running"

    def test_a_step_without_an_end_in_a_trace_that_ended_is_interrupted(self, store: Store) -> None:
        told = Story()
        told.begin("background")
        tell(store, told.finish())
        assert [step.status for step in store.trace(told.trace_id).steps] == ["completed", "interrupted"]


#: A query string, and the traces that it finds, newest first.
QUERIES = {
    "": "bill late lost",
    "status=failed": "late",
    "status=failed,completed": "bill late lost",
    "status=failed&status=completed&workflow=support": "late lost",
    "workflow=support": "late lost",
    "workflow=sup": "",
    "model=gpt-4o-mini": "lost",
    "step=draft": "late",
    "q=status:failed+step:draft": "late",
    "q=model:claude-sonnet-4-5": "bill",
    "q=cost>0.01": "lost",
    "q=cost>$0.00001": "bill lost",
    "q=card": "lost",
    "q=lost+card": "lost",
    "q=lost+504": "",
    "q=größere": "late",
    "q=GRÖẞERE+karte": "late",
    "q=504": "late",
    "q=timeouterror": "late",
    "q=BILL": "bill",
    'q="card+is+lost"': "lost",
    'q="lost+is"': "",
    "q=100%25": "lost",
    "q=1%25": "",
    "q=new_card": "lost",
    "q=new?card": "",
    "q=newXcard": "",
    "q=n_w": "",
    "q=%00": "",
    "q='; DROP TABLE traces;--": "",
    "q=error:TimeoutError": "late",
    "error=Timeout": "",
    "q=duration>2us": "bill late lost",
    "duration=1h": "",
    "q=tag:team=Cards": "lost",
    "tag=team%3Dcard": "",
    "tag=tier%3D3&tag=team": "lost",
    "tag=tier%3D30": "",
    "tag=%25": "",
    "replays=only": "bill",
    "replays=no": "late lost",
    "q=replays:no+workflow:support": "late lost",
    f"since_ns={NEW_YEAR_NS + SECOND_NS}": "bill late",
    "since=1s": "",
    "page=3&theme=dark": "bill late lost",
}


class TestFilter:
    @pytest.fixture
    def told(self, store: Store) -> dict[str, Story]:
        tags = {"team": "cards", "tier": 3}
        lost = Story("support", input={"ticket": "My CARD is lost"}, at_ns=NEW_YEAR_NS, tags=tags)
        lost.call("gpt-4o-mini", input_tokens=1_000_000, output_tokens=0)
        lost.finish("We send 100% of a new_card")
        late = Story("support", input="Wo ist meine GRÖSSERE Karte?", at_ns=NEW_YEAR_NS + SECOND_NS)
        late.step("draft", error=TimeoutError("upstream 504"))
        late.finish(error=TimeoutError("upstream 504"))
        bill = Story("billing", input="nothing", at_ns=NEW_YEAR_NS + 2 * SECOND_NS, replay_of=lost.trace_id)
        bill.call("claude-sonnet-4-5", provider="anthropic", input_tokens=10, output_tokens=0)
        stories = {"lost": lost, "late": late, "bill": bill.finish()}
        tell(store, *stories.values())
        return stories

    def test_queries_find_what_they_say(self, store: Store, told: dict[str, Story]) -> None:
        names = {story.trace_id: name for name, story in told.items()}
        found = {query: " ".join(names[row.trace_id] for row in store.traces(Filter.parse(query))) for query in QUERIES}
        assert found == QUERIES

    def test_a_trace_is_found_by_the_beginning_of_its_id(self, store: Store, told: dict[str, Story]) -> None:
        assert ids(store.traces(Filter(text=told["late"].trace_id))) == [told["late"].trace_id]

    def test_an_age_counts_back_from_now(self, store: Store) -> None:
        now = Filter(since="1h").since_when_ns() + 3_600 * SECOND_NS
        old, new = Story(at_ns=now - 7_200 * SECOND_NS), Story(at_ns=now - 60 * SECOND_NS)
        tell(store, old, new)
        assert ids(store.traces(Filter(since="1h"))) == [new.trace_id]
        assert len(store.traces(Filter(since="1d"))) == 2

    def test_a_period_ends_before_its_last_moment(self, store: Store) -> None:
        old, new = Story(at_ns=NEW_YEAR_NS), Story(at_ns=NEW_YEAR_NS + SECOND_NS)
        tell(store, old, new)
        started = store.trace(new.trace_id).summary.started_ns
        assert ids(store.traces(Filter(until_ns=started))) == [old.trace_id]
        assert len(store.traces(Filter(until_ns=started + 1))) == 2

    def test_replays_of_a_trace_are_found_from_it(self, store: Store, told: dict[str, Story]) -> None:
        assert ids(store.replays_of(told["lost"].trace_id)) == [told["bill"].trace_id]
        assert store.replays_of(told["bill"].trace_id) == []

    def test_counts_by_status_leave_the_filters_own_statuses_aside(self, store: Store, told: dict[str, Story]) -> None:
        counted = store.facets(Filter(statuses=("failed",), workflow="support"))
        assert counted.statuses == {"completed": 1, "failed": 1}
        assert (counted.total, counted.bounded) == (2, False)
        assert store.facets(Filter(text="card")).statuses == {"completed": 1}

    def test_other_counts_are_of_what_the_filter_shows(self, store: Store, told: dict[str, Story]) -> None:
        counted = store.facets()
        assert counted.workflows == {"support": 2, "billing": 1}
        assert counted.models == {"claude-sonnet-4-5": 1, "gpt-4o-mini": 1}
        assert counted.errors == {"TimeoutError": 1}
        assert store.facets(Filter(statuses=("failed",))).workflows == {"support": 1}
        assert store.facets(Filter(statuses=("completed",))).errors == {}

    def test_counts_stop_at_a_bound_and_say_so(
        self, store: Store, told: dict[str, Story], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tracer.store.facets.COUNTED", 2)
        counted = store.facets()
        assert counted.statuses == {"completed": 1, "failed": 1}
        assert counted.bounded
        assert not store.facets(Filter(workflow="support")).bounded

    def test_workflows_and_models_are_listed_by_name(self, store: Store, told: dict[str, Story]) -> None:
        assert store.workflows() == ["billing", "support"]
        assert store.models() == ["claude-sonnet-4-5", "gpt-4o-mini"]


_words = st.text(st.characters(exclude_characters='"', exclude_categories=("Cs", "Cc", "Z")), min_size=1).filter(
    lambda word: ":" not in word and ">" not in word
)
_filters = st.builds(
    Filter,
    statuses=st.sampled_from([(), ("failed",), ("completed", "running")]),
    workflow=st.none() | st.text(min_size=1),
    model=st.none() | st.text(min_size=1),
    step=st.none() | st.text(min_size=1),
    text=st.lists(_words, max_size=3).map(" ".join),
    since=st.none() | st.sampled_from(["30m", "12h", "7d"]),
    since_ns=st.none() | st.integers(0, 10**18 - 1),
    above_nusd=st.none() | st.integers(0, 2**62),
    replays=st.none() | st.booleans(),
    until_ns=st.none() | st.integers(0, 10**18 - 1),
    longer_ns=st.none() | st.integers(0, 2**62),
    error=st.none() | st.text(min_size=1),
    tags=st.lists(
        st.tuples(st.text(min_size=1).filter(lambda name: name.strip() and "=" not in name), st.none() | st.text()),
        max_size=2,
        unique=True,
    ).map(tuple),
)


class TestQueryString:
    @given(_filters)
    def test_a_filter_survives_its_own_query_string(self, found: Filter) -> None:
        assert Filter.parse(found.query) == found

    @given(_filters)
    def test_a_filter_survives_being_typed_into_the_search_box(self, found: Filter) -> None:
        assert Filter.parse({"q": found.typed}) == found

    @given(_filters)
    def test_a_term_taken_away_is_all_that_is_gone(self, found: Filter) -> None:
        typed = [term for term, _ in found.terms]
        for at, (_, left) in enumerate(found.terms):
            assert [term for term, _ in left.terms] == [*typed[:at], *typed[at + 1 :]]

    @given(st.text(st.sampled_from('abstu:><"\\ ="0.1$tagcostatus') | st.characters()))
    def test_whatever_is_typed_is_read_or_answered_and_never_raises(self, typed: str) -> None:
        found, problems = Filter.read({"q": typed})
        assert all("\n" not in problem.why for problem in problems)
        assert Filter.parse(found.query) == found or any("\ud800" <= each <= "\udfff" for each in typed)

    def test_the_empty_filter_is_the_empty_query(self) -> None:
        assert Filter().query == ""
        assert Filter.parse("q=&status=&since=") == Filter()

    def test_a_search_box_and_a_form_say_the_same(self) -> None:
        typed = Filter.parse({"q": 'status:failed step:draft model:"my model" since:7d cost>0.01 two words'})
        chosen = Filter.parse(
            {"status": "failed", "step": "draft", "model": "my model", "since": "7d", "cost": "0.01", "q": "two words"}
        )
        assert typed == chosen
        assert typed.words == ("two", "words")
        assert parse_qs(typed.query)["cost"] == ["0.01"]

    def test_what_is_no_key_is_a_word(self) -> None:
        assert Filter.parse({"q": "https://x.y note:504"}).words == ("https://x.y", "note:504")

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("modle:gpt-4o", "model:gpt-4o"),
            ("worklow:x", "workflow:support"),
            ("pipeline:x", "workflow:support"),
            ("latency>2s", "duration>2s"),
            ("cost:0.01", "cost>0.01"),
            ("status:", "status:failed"),
        ],
    )
    def test_a_term_that_is_nearly_one_is_answered_with_the_one_that_was_meant(self, typed: str, meant: str) -> None:
        found, (problem,) = Filter.read({"q": f"{typed} status:failed card"})
        assert typed in problem.why
        assert meant in problem.why
        assert problem.typed == typed
        assert found == Filter(statuses=("failed",), text="card")

    def test_text_in_quotes_is_one_word_even_if_it_looks_like_a_key(self) -> None:
        assert Filter.parse({"q": '"status:failed" a'}).words == ("status:failed", "a")
        assert Filter.parse(Filter.parse({"q": '"status:failed" a'}).query).words == ("status:failed", "a")

    @pytest.mark.parametrize(
        "query",
        [
            "status=broken",
            "q=status:broken",
            "since=soon",
            "since=7",
            "since=-1d",
            "since_ns=yesterday",
            "until_ns=-1",
            "cost=lots",
            "q=cost>NaN",
            "q=cost>Infinity",
            "replays=maybe",
            "duration=long",
            "q=tag:%3Dx",
            "q=status:",
            "q=cost:0.01",
            "q=modle:gpt-4o",
        ],
    )
    def test_a_value_that_cannot_be_is_refused_in_one_line(self, query: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Filter.parse(query)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("age", "seconds"), [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7D", 604_800), (" 2w ", 1_209_600)]
    )
    def test_ages_are_read(self, age: str, seconds: int) -> None:
        assert parse_since(age) == seconds * SECOND_NS

    def test_an_age_beyond_time_itself_shows_everything(self, store: Store) -> None:
        tell(store, Story())
        assert len(store.traces(Filter.parse("since=999999999w"))) == 1


class TestSentence:
    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("", "traces"),
            ("status=failed&workflow=support&since=7d", "failed traces of support, last 7 days"),
            ("since=1h", "traces, last hour"),
            ("status=failed,interrupted&replays=only", "failed or interrupted replays"),
            (
                "q=model:gpt-4o+step:draft+cost>0.01+card",
                "traces with model gpt-4o with step draft with “card” above $0.01",
            ),
            ("q=error:Late+tag:a=b+tag:c+duration>90s", "traces with error Late tagged a b tagged c longer than 90s"),
            ("replays=no&q=a+b", "traces with “a” and “b” without replays"),
            (f"since_ns={NEW_YEAR_NS}", "traces, since 2026-01-01 00:00:00 UTC"),
            (f"until_ns={NEW_YEAR_NS}", "traces, until 2026-01-01 00:00:00 UTC"),
        ],
    )
    def test_a_filter_reads_as_english(self, query: str, sentence: str) -> None:
        assert Filter.parse(query).sentence == sentence

    def test_it_knows_when_it_shows_nothing_but_failures(self) -> None:
        assert Filter.parse("status=failed").failed
        assert not Filter.parse("status=failed,completed").failed
