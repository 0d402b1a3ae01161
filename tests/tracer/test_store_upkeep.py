"""A store kept small: pins, what retention asks of a trace, deleting bit by bit, collecting what nothing uses."""

from __future__ import annotations

import base64
import random
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from tests.builders import NEW_YEAR_NS, Story
from tracer.errors import StoreError, StoreUnreachable, TraceNotFound
from tracer.store import Store, bodies, horizon, open_store
from tracer.store.collecting import collect
from tracer.store.engine import reading, writing
from tracer.store.horizon import Superseded
from tracer.store.pace import Pace
from tracer.store.packs import LIST, NODE, WHOLE
from tracer.store.tables import escalations, model_calls, notes, packs, payloads, shared_values, step_texts, steps
from tracer.subjects import Subject

chance = random.Random(8)
SECOND_NS = 10**9


def words(length: int) -> str:
    return "".join(chance.choices("abcdefghij klmnop qrstuv wxyz ", k=length))


TALK = [{"role": "user", "content": words(400)} for _ in range(150)]
IMAGE = "data:image/png;base64," + base64.b64encode(chance.randbytes(5_000)).decode()


def rich(**fields: Any) -> Story:
    """A trace with payloads of all forms, of which other such traces share the most."""
    story = Story(input={"messages": [*TALK, {"role": "user", "content": words(300)}]}, **fields)
    story.step("look", input={"image": IMAGE}, output=words(50))
    story.step("draft", input={"messages": TALK[40:]}, error=ValueError(words(20)))
    return story.finish(words(2_000))


def tell(store: Store, *stories: Story) -> None:
    for story in stories:
        store.apply(story.events, owner="me")


def count(store: Store, table: Any) -> int:
    with store._engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def everything_of(store: Store, trace_id: str) -> list[Any]:
    trace = store.trace(trace_id)
    return [store.value(ref) for step in trace.steps for ref in (step.input, step.output) if ref is not None]


def is_whole(store: Store) -> bool:
    assert store.check().damaged == ()
    assert store.verify_totals() == []
    return True


class TestPins:
    def test_are_said_once_and_taken_back_once(self, store: Store) -> None:
        told = Story().finish()
        tell(store, told)
        assert store.upkeep.pin(told.trace_id)
        assert not store.upkeep.pin(told.trace_id)
        assert store.upkeep.pins() == (told.trace_id,)
        assert store.upkeep.unpin(told.trace_id)
        assert not store.upkeep.unpin(told.trace_id)
        assert store.upkeep.pins() == ()

    def test_are_of_traces_that_are_there(self, store: Store) -> None:
        with pytest.raises(TraceNotFound, match="no trace ffff in"):
            store.upkeep.pin("ffff")

    def test_hold_a_trace_when_others_go(self, store: Store) -> None:
        pinned, other = Story().finish(), Story().finish()
        tell(store, pinned, other)
        store.upkeep.pin(pinned.trace_id)
        deleted = store.upkeep.delete([pinned.trace_id, other.trace_id])
        assert (deleted.gone, deleted.pinned) == ((other.trace_id,), (pinned.trace_id,))

    def test_go_with_a_trace_that_is_deleted_by_hand(self, store: Store) -> None:
        told = Story().finish()
        tell(store, told)
        store.upkeep.pin(told.trace_id)
        assert store.delete([told.trace_id]).gone == (told.trace_id,)
        assert store.upkeep.pins() == ()


class TestSubjects:
    def test_say_what_a_trace_is_worth(self, store: Store) -> None:
        fine, bad, asked, scored = Story("fine"), Story("bad"), Story("asked"), Story("scored")
        asked.end(asked.begin("which", kind="human"), "a")
        scored.note(scored.root, "quality", 0.9, kind="score")
        tell(store, fine.finish(), bad.finish(error=ValueError("no")), asked.finish(), scored.finish())
        tell(store, Story("again", replay_of=fine.trace_id).finish())
        found = {each.workflow: set(each.reasons) for each in store.upkeep.subjects()}
        assert found == {
            "fine": set(),
            "bad": {"failed"},
            "asked": {"escalated"},
            "scored": {"scored"},
            "again": {"replayed"},
        }

    def test_say_why_a_trace_can_not_go(self, store_url: str) -> None:
        with open_store(store_url, alive=lambda owner: owner == "alive") as store:
            running, killed, waits, pinned = Story("running"), Story("killed"), Story("waits"), Story("pinned")
            store.apply(running.events, owner="alive")
            tell(store, killed, pinned.finish())
            waits.end(waits.begin("which", kind="human"), outcome="waiting")
            tell(store, waits.finish(outcome="waiting"))
            store.upkeep.pin(pinned.trace_id)
            found = {each.workflow: each.held for each in store.upkeep.subjects()}
            assert found == {"running": "running", "killed": None, "waits": "waiting", "pinned": "pinned"}
            killed_one = next(each for each in store.upkeep.subjects() if each.workflow == "killed")
            assert killed_one.reasons == {"failed"}

    def test_are_those_that_began_before_and_their_stories(self, store: Store) -> None:
        old, young = Story(at_ns=NEW_YEAR_NS).finish(), Story(at_ns=NEW_YEAR_NS + 9 * SECOND_NS).finish()
        origin = Story(at_ns=NEW_YEAR_NS + 8 * SECOND_NS).finish()
        replay = Story(at_ns=NEW_YEAR_NS + 9 * SECOND_NS, replay_of=origin.trace_id).finish()
        tell(store, old, young, origin, replay)
        found = {each.trace_id for each in store.upkeep.subjects(before_ns=NEW_YEAR_NS + SECOND_NS)}
        assert found == {old.trace_id, origin.trace_id, replay.trace_id}

    def test_have_shares_that_come_to_what_is_stored(self, store: Store) -> None:
        small, large = Story(input="a").finish(), Story(input=words(200_000)).finish()
        tell(store, small, large)
        sizes: dict[str, Subject] = {each.trace_id: each for each in store.upkeep.subjects(sizes=True)}
        assert sizes[large.trace_id].size > 20 * sizes[small.trace_id].size
        with store._engine.connect() as connection:
            packed = connection.execute(select(func.sum(func.length(packs.c.body)))).scalar_one()
        rows = 2 * 600
        assert abs(sum(each.size for each in sizes.values()) - packed - rows) < 100
        assert {each.size for each in store.upkeep.subjects()} == {0}


class TestDeleting:
    def test_takes_the_questions_of_a_trace_too(self, store: Store) -> None:
        waits = Story()
        waits.end(waits.begin("which", kind="human"), outcome="waiting")
        tell(store, waits.finish(outcome="waiting"))
        assert store.escalations.count_open() == 1
        store.delete([waits.trace_id])
        assert store.escalations.count_open() == 0
        assert count(store, escalations) == 0

    def test_takes_a_long_trace_some_steps_at_a_time(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        long, other = Story(), Story()
        for _ in range(120):
            long.call("gpt", output="x")
            long.note(long.root, "quality", 0.9, kind="score")
        tell(store, long.finish(), other.finish())
        monkeypatch.setattr("tracer.store.deleting._STEPS", 4)
        monkeypatch.setattr("tracer.store.deleting._LONG", 16)
        assert store.delete([long.trace_id, other.trace_id]).gone == (long.trace_id, other.trace_id)
        assert [count(store, table) for table in (steps, model_calls, notes, step_texts, shared_values)] == [0] * 5

    def test_goes_on_where_it_was_killed(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        long, other = Story(), Story()
        for _ in range(120):
            long.step("one", "x")
        tell(store, long.finish(), other.finish())
        turns = 0
        turn = Pace.turn

        def killed(self: Pace) -> Any:
            nonlocal turns
            turns += 1
            if turns == 3:
                raise KeyboardInterrupt
            return turn(self)

        monkeypatch.setattr("tracer.store.deleting._STEPS", 4)
        monkeypatch.setattr("tracer.store.deleting._LONG", 16)
        monkeypatch.setattr(Pace, "turn", killed)
        with pytest.raises(KeyboardInterrupt):
            store.delete([long.trace_id])
        assert 1 < count(store, steps) < 122
        assert is_whole(store)
        assert [row.trace_id for row in store.traces()] == [other.trace_id]
        store.delete([])
        assert count(store, steps) == 1
        assert is_whole(store)


class TestCollecting:
    def test_takes_what_nothing_uses_and_nothing_else(self, store: Store) -> None:
        gone, stays = rich(), rich()
        tell(store, stays)
        alone = store.facts()
        before = everything_of(store, stays.trace_id)
        tell(store, gone)
        store.delete([gone.trace_id])
        assert store.facts().payloads > alone.payloads
        collected = store.upkeep.collect()
        assert collected.bodies > 0
        assert store.facts().payloads == alone.payloads
        assert everything_of(store, stays.trace_id) == before
        assert is_whole(store)
        with store._engine.connect() as connection:
            assert set(connection.execute(select(payloads.c.form)).scalars()) == {WHOLE, LIST, NODE}

    def test_leaves_an_empty_store_where_all_is_gone(self, store: Store) -> None:
        stories = [rich() for _ in range(3)]
        tell(store, *stories)
        store.delete([story.trace_id for story in stories])
        packed = store.facts().payload_size
        collected = store.upkeep.collect()
        assert packed > 0
        assert (collected.packs, collected.packs_made) == (3, 0)
        assert (count(store, packs), count(store, payloads)) == (0, 0)
        assert collected.freed > 0

    def test_a_second_time_finds_nothing(self, store: Store) -> None:
        stories = [rich() for _ in range(3)]
        tell(store, *stories)
        store.delete([stories[0].trace_id])
        store.upkeep.collect()
        again = store.upkeep.collect()
        assert (again.bodies, again.packs, again.packs_made) == (0, 0, 0)
        assert is_whole(store)

    def test_says_beforehand_what_it_would_take(self, store: Store) -> None:
        gone, stays = rich(), rich()
        tell(store, gone, stays)
        assert store.upkeep.survey().bodies == 0
        told = store.upkeep.survey(without=[gone.trace_id])
        assert store.facts().traces == 2
        store.delete([gone.trace_id])
        collected = store.upkeep.collect()
        assert (told.bodies, told.body_size) == (collected.bodies, collected.body_size) != (0, 0)

    def test_makes_one_pack_of_what_is_left_of_several(self, store: Store) -> None:
        large, small = (
            [Story(input=words(3_000)).finish() for _ in range(4)],
            [Story(input=words(300)) for _ in range(4)],
        )
        for one, other in zip(large, small, strict=True):
            store.apply([*one.events, *other.finish().events], owner="me")
        said = [everything_of(store, each.trace_id) for each in small]
        store.delete([each.trace_id for each in large])
        collected = store.upkeep.collect()
        assert (collected.packs, collected.packs_made) == (4, 1)
        assert count(store, packs) == 1
        assert [everything_of(store, each.trace_id) for each in small] == said
        assert is_whole(store)

    def test_keeps_a_pack_of_which_most_is_used(self, store: Store) -> None:
        large, small = Story(input=words(3_000)).finish(), Story(input=words(300)).finish()
        store.apply([*large.events, *small.events], owner="me")
        store.delete([small.trace_id])
        collected = store.upkeep.collect()
        assert (collected.bodies, collected.packs, collected.packs_made) == (1, 0, 0)
        assert is_whole(store)

    def test_leaves_a_damaged_pack_as_it_is(self, store: Store) -> None:
        large, small = Story(input=words(3_000)).finish(), Story(input=words(300)).finish()
        store.apply([*large.events, *small.events], owner="me")
        store.delete([large.trace_id])
        with store._engine.begin() as connection:
            connection.execute(update(packs).values(encoding="zstd", body=b"\x28\xb5\x2f\xfdtorn"))
        store.upkeep.collect()
        damaged = store.check().damaged
        assert {each.problem for each in damaged} == {"its pack is missing or torn"}
        assert count(store, packs) == 1

    def test_takes_a_long_payload_that_is_a_piece_of_another(self, store: Store) -> None:
        """Bytes that are a payload in pieces of their own may stand as one piece in a longer one."""
        from tracer import codec

        inner = codec.encode({"messages": TALK}).data
        first, second = Story(input={"messages": TALK}).finish(), Story(input={"wrapped": inner}).finish()
        tell(store, first, second)
        store.delete([first.trace_id])
        store.upkeep.collect()
        assert everything_of(store, second.trace_id)[0] == {"wrapped": inner}
        assert is_whole(store)
        store.delete([second.trace_id])
        store.upkeep.collect()
        assert count(store, payloads) == 0

    def test_gives_room_back(self, tmp_path: Path) -> None:
        path = tmp_path / "playhead.db"
        with open_store(path) as store:
            stories = [Story(input=words(100_000)).finish() for _ in range(20)]
            tell(store, *stories)
            full = store.facts().size
            store.delete([story.trace_id for story in stories[1:]])
            store.upkeep.collect()
            assert store.facts().size < full / 2
            assert is_whole(store)

    def test_does_not_touch_the_size_of_a_file_that_was_not_made_for_it(self, tmp_path: Path) -> None:
        path = tmp_path / "playhead.db"
        with open_store(path) as store:
            with store._engine.connect() as connection:
                connection.execute(text("ROLLBACK"))
                connection.execute(text("PRAGMA auto_vacuum = NONE"))
                connection.execute(text("VACUUM"))
                connection.execute(text("BEGIN"))
            stories = [Story(input=words(100_000)).finish() for _ in range(20)]
            tell(store, *stories)
            full = store.facts().size
            store.delete([story.trace_id for story in stories])
            store.upkeep.collect()
            assert store.facts().size == full
            assert count(store, packs) == 0


class TestTheHorizon:
    def test_is_lowered_when_all_is_done(self, store: Store) -> None:
        tell(store, rich())
        store.upkeep.collect()
        with store._engine.begin() as connection:
            assert horizon.observed(connection) == 0

    def test_makes_a_writer_store_anew_what_lies_before_it(self, store: Store) -> None:
        first = rich(number=7)
        tell(store, first)
        with store._engine.connect() as connection:
            before = dict(connection.execute(select(payloads.c.digest, payloads.c.pack)).all())
        raised = horizon.raised(store._engine)
        assert max(before.values()) < raised.since
        tell(store, Story(input={"messages": TALK[40:]}).finish())
        with store._engine.connect() as connection:
            after = dict(connection.execute(select(payloads.c.digest, payloads.c.pack)).all())
        moved = {digest for digest, pack in after.items() if pack != before.get(digest)}
        assert {after[digest] >= raised.since for digest in moved} == {True}
        assert len(moved & set(before)) > 10
        assert is_whole(store)

    def test_is_behind_no_pack_however_slow_a_clock(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        tell(store, rich())
        raised = horizon.raised(store._engine)
        monkeypatch.setattr(time, "time_ns", lambda: NEW_YEAR_NS)
        tell(store, rich())
        with store._engine.connect() as connection:
            newest = select(func.count()).select_from(packs).where(packs.c.id >= raised.since)
            assert connection.execute(newest).scalar() == 1

    def test_is_above_the_packs_of_a_fast_clock(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        now_ns = time.time_ns()
        with monkeypatch.context() as fast:
            fast.setattr(time, "time_ns", lambda: now_ns + 3600 * SECOND_NS)
            tell(store, rich())
        raised = horizon.raised(store._engine)
        with store._engine.connect() as connection:
            assert connection.execute(select(func.max(packs.c.id))).scalar_one() < raised.since

    def test_of_another_collection_stops_this_one(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = rich()
        tell(store, gone)
        store.delete([gone.trace_id])
        before = store.facts().payloads
        look = collect.__globals__["_look"]

        def meanwhile(*args: Any, **kwargs: Any) -> None:
            look(*args, **kwargs)
            horizon.raised(store._engine)

        monkeypatch.setitem(collect.__globals__, "_look", meanwhile)
        with pytest.raises(Superseded, match="another prune"):
            store.upkeep.collect()
        assert store.facts().payloads == before
        with store._engine.begin() as connection:
            assert horizon.observed(connection) > 0

    def test_stays_raised_after_a_collector_was_killed_and_harms_nobody(self, store: Store) -> None:
        gone, stays = rich(), rich()
        tell(store, gone)
        horizon.raised(store._engine)
        tell(store, stays)
        store.delete([gone.trace_id])
        store.upkeep.collect()
        assert is_whole(store)
        with store._engine.begin() as connection:
            assert horizon.observed(connection) == 0


class TestTheScratch:
    def test_that_has_no_room_says_where_and_what_to_do(self) -> None:
        from tracer.store.scratch import scratch

        def fill() -> None:
            with scratch() as noted:
                noted._connection.execute("PRAGMA max_page_count = 8")
                noted.use(number.to_bytes(16, "big") for number in range(10_000))

        with pytest.raises(StoreError, match="make room, or name another folder in TMPDIR"):
            fill()


class TestOnPostgres:
    def test_the_horizon_waits_for_those_who_wrote_under_the_one_before(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(horizon, "_TRIES", 2)
        with open_store(postgres_url) as store:
            with writing(store._engine) as writer:
                assert horizon.observed(writer) == 0
                with pytest.raises(StoreUnreachable, match="for half a minute in one transaction"):
                    horizon.raised(store._engine)
                # and others write on while it waits for its next try
                tell(store, rich())
            assert horizon.raised(store._engine).since > 0

    def test_a_reader_sees_one_state_while_a_pack_is_moved(self, postgres_url: str) -> None:
        with open_store(postgres_url) as store:
            large, small = Story(input=words(3_000)).finish(), Story(input=words(300)).finish()
            store.apply([*large.events, *small.events], owner="me")
            ref = store.trace(small.trace_id).steps[0].input
            assert ref is not None
            store.delete([large.trace_id])
            with reading(store._engine) as reader:
                places = bodies.packs.places(reader, [bodies.digest_in(ref.digest)])
                assert store.upkeep.collect().packs_made == 1
                assert len(list(bodies.read_at(reader, list(places.values())))) == 1
            with writing(store._engine) as writer:
                # one that sees what others commit looks for it once more
                assert len(list(bodies.read_at(writer, list(places.values())))) == 1
