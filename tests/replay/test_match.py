from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import replay
from replay.match import Matcher
from replay.plan import Plan
from replay.stage import staged
from tracer import step, workflow
from tracer.model import PayloadRef, Step
from tracer.player import Call

_ids = itertools.count(1)


def recorded(name, *, under=None, identity="", occurrence=0, output="", fingerprint=None):  # noqa: PLR0913
    """A recorded step; its output is only an address here."""
    parent_id = None if under is None else under.step_id
    path = name if under is None else f"{under.path}/{name}"
    return Step(
        "t", f"r{next(_ids)}", parent_id, 0, name, "step", path, occurrence, 0,
        outcome="ok", identity=identity, output=PayloadRef(output, 1), fingerprint=fingerprint,
    )  # fmt: skip


def asked(name, *, under=None, identity="", occurrence=0, fingerprint=None):
    parent_id = None if under is None else under.step_id
    return Call("n", f"n{next(_ids)}", parent_id, name, "step", name, occurrence, None, (), identity, fingerprint)


@dataclass
class Play:
    """A record, and calls matched against it."""

    steps: list[Step] = field(default_factory=list)

    def __post_init__(self):
        self.root = recorded("wf")
        self.steps.insert(0, self.root)

    def record(self, name, under=None, **told):
        self.steps.append(recorded(name, under=under or self.root, **told))
        return self.steps[-1]

    def begin(self):
        self.matcher = Matcher(self.steps)
        self.call = asked("wf")
        assert self.matcher.take(self.call).outcome == "exact"
        return self

    def take(self, name, under=None, **told):
        call = asked(name, under=under or self.call, **told)
        found = self.matcher.take(call)
        return found.outcome, found.step, call


class TestOneCall:
    def test_the_same_inputs_under_the_same_parent_are_the_very_step(self):
        play = Play()
        draft = play.record("draft", identity="a")
        assert play.begin().take("draft", identity="a")[:2] == ("exact", draft)

    def test_other_inputs_in_its_place_are_input_changed_and_name_the_recorded_one(self):
        play = Play()
        draft = play.record("draft", identity="a")
        assert play.begin().take("draft", identity="b")[:2] == ("input-changed", draft)

    def test_a_name_that_the_record_does_not_hold_is_new(self):
        play = Play()
        play.record("draft", identity="a")
        assert play.begin().take("send", identity="a")[:2] == ("new", None)

    def test_another_body_is_code_changed(self):
        play = Play()
        draft = play.record("draft", identity="a", fingerprint="f1-py3.11:one")
        assert play.begin().take("draft", identity="a", fingerprint="f1-py3.11:two")[:2] == ("code-changed", draft)

    def test_a_body_compiled_by_another_python_says_nothing_about_the_code(self):
        play = Play()
        draft = play.record("draft", identity="a", fingerprint="f1-py3.11:one")
        assert play.begin().take("draft", identity="a", fingerprint="f1-py3.14:two")[:2] == ("exact", draft)


class TestSeveralOfOneName:
    def test_an_equal_digest_beats_position(self):
        play = Play()
        first, second = (play.record("draft", identity=name, occurrence=at) for at, name in enumerate("ab"))
        play.begin()
        assert play.take("draft", identity="b", occurrence=0)[1] is second
        assert play.take("draft", identity="a", occurrence=1)[1] is first

    def test_among_equal_ones_each_answers_once_in_place_and_then_they_are_used_up(self):
        play = Play()
        steps = [play.record("draft", identity="a", occurrence=at, output=str(at)) for at in range(3)]
        play.begin()
        taken = [play.take("draft", identity="a", occurrence=at)[1] for at in (2, 0, 1)]
        assert taken == [steps[2], steps[0], steps[1]]
        assert play.take("draft", identity="a", occurrence=3)[:2] == ("new", None)

    def test_a_call_repeated_beyond_the_record_does_not_take_the_answer_of_another_parent(self):
        play = Play()
        left, right = play.record("left"), play.record("right")
        play.record("ask", left, identity="q", output="one")
        theirs = play.record("ask", right, identity="q", output="two")
        play.begin()
        _, _, inside_left = play.take("left")
        play.take("ask", inside_left, identity="q")
        assert play.take("ask", inside_left, identity="q", occurrence=1)[:2] == ("new", None)
        _, _, inside_right = play.take("right")
        assert play.take("ask", inside_right, identity="q")[:2] == ("exact", theirs)

    def test_a_changed_one_is_held_against_the_nearest_that_is_left(self):
        play = Play()
        first, _ = (play.record("draft", identity=name, occurrence=at) for at, name in enumerate("ab"))
        play.begin()
        play.take("draft", identity="b", occurrence=0)
        assert play.take("draft", identity="c", occurrence=1)[:2] == ("input-changed", first)

    def test_one_put_in_front_leaves_the_others_their_answers(self):
        play = Play()
        steps = [play.record("draft", identity=name, occurrence=at) for at, name in enumerate("abc")]
        play.begin()
        assert play.take("draft", identity="z", occurrence=0)[:2] == ("input-changed", steps[0])
        for at, step_ in enumerate(steps, 1):
            assert play.take("draft", identity="abc"[at - 1], occurrence=at)[:2] == ("exact", step_)


class TestMoved:
    def test_the_same_call_under_a_parent_that_was_renamed_is_moved(self):
        play = Play()
        old = play.record("old")
        ask = play.record("ask", old, identity="q")
        play.begin()
        _, _, new = play.take("new")
        assert play.take("ask", new, identity="q")[:2] == ("moved", ask)

    def test_below_a_parent_that_the_replay_has_come_to_it_is_not_moved_but_that_ones(self):
        play = Play()
        old = play.record("old")
        play.record("ask", old, identity="q")
        play.begin()
        play.take("old")
        _, _, new = play.take("new")
        assert play.take("ask", new, identity="q")[0] == "new"

    def test_a_step_served_inside_another_is_not_taken_out_of_it(self):
        play = Play()
        old = play.record("old")
        deep = play.record("deep", old)
        ask = play.record("ask", deep, identity="q")
        play.begin()
        play.take("old")
        play.matcher.close(old, [deep, ask])
        _, _, new = play.take("new")
        assert play.take("ask", new, identity="q")[:2] == ("new", None)

    def test_where_two_parents_have_different_answers_nobody_can_tell_whose_it_is(self):
        play = Play()
        for name, answer in (("left", "one"), ("right", "two")):
            play.record("ask", play.record(name), identity="q", output=answer)
        play.begin()
        _, _, new = play.take("new")
        assert play.take("ask", new, identity="q")[:2] == ("new", None)

    def test_where_they_agree_it_does_not_matter(self):
        play = Play()
        for name in ("left", "right"):
            play.record("ask", play.record(name), identity="q", output="one")
        play.begin()
        _, _, new = play.take("new")
        assert play.take("ask", new, identity="q")[0] == "moved"


class TestNeverReached:
    def test_it_names_what_no_call_was_and_of_what_lies_in_each_other_the_outermost(self):
        play = Play()
        reached, missed = play.record("reached"), play.record("missed")
        play.record("inside", missed)
        also = play.record("also", reached)
        play.begin().take("reached")
        assert play.matcher.never_reached() == (missed, also)

    def test_what_lies_in_a_step_that_ended_without_its_body_is_not_missed(self):
        play = Play()
        edited = play.record("edited")
        play.record("inside", edited)
        play.begin().take("edited")
        play.matcher.close(edited)
        assert play.matcher.never_reached() == ()


# Random call trees, through the real recorder and player: every call of a step gives a value that names the recording,
# its inputs and how often it was made with them, so that a wrong answer can't look like a right one.

_run = "recorded"


@step(kind="tool")
def ask(question: int) -> tuple[str, int]:
    return _run, question


@step
async def group(tree: tuple, order: tuple[int, ...]) -> list:
    return await _gathered(tree, order)


async def _one(node, order):
    if isinstance(node, int):
        for _ in range(order[node % len(order)] if order else 0):
            await asyncio.sleep(0)
        return ask(node)
    return await group(node, order)


async def _gathered(tree, order):
    """Ask for all parts at once; they begin in the order given, and their answers are put back in place."""
    places = sorted(range(len(tree)), key=lambda at: order[at % len(order)] if order else at)
    found = await asyncio.gather(*(_one(tree[at], order) for at in places))
    return [answer for _, answer in sorted(zip(places, found, strict=True))]


@workflow
async def fan_out(tree: tuple) -> list:
    return await _gathered(tree, _order)


_order: tuple[int, ...] = ()
ORDERS = st.permutations(range(6))
TREES = st.recursive(st.integers(0, 6), lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=25)


def answers(tree, run):
    return [(run, node) if isinstance(node, int) else answers(node, run) for node in tree]


class TestAnyTreeInAnyOrder:
    @settings(max_examples=60, deadline=None, database=None)
    @given(
        tree=st.lists(TREES, max_size=6).map(tuple), before=st.permutations(range(6)), after=st.permutations(range(6))
    )
    def test_every_call_gets_its_own_answer(self, tmp_path_factory, tree, before, after):
        global _run, _order
        from tests.replay.support import Recorded

        store = Recorded(tmp_path_factory.getbasetemp() / "fan-out")
        _run, _order = "recorded", tuple(before)
        assert asyncio.run(fan_out(tree)) == answers(tree, "recorded")
        trace = store.trace()
        _run, _order = "replayed", tuple(after)
        done = replay(trace.trace_id, verify=True)
        assert (done.error, done.stopped) == (None, None)
        # group() got another order as its input, so its body runs; what it asks is all in the record
        assert done.output == answers(tree, "recorded")
        assert done.live == 0


@step(kind="tool")
async def slow(item: int, pauses: int) -> tuple[str, int]:
    for _ in range(pauses):
        await asyncio.sleep(0)
    return _run, item


@workflow
async def thirty_two(seed: int) -> list:
    shuffled = random.Random(_shuffle).sample(range(32), 32)
    found = await asyncio.gather(*(_named(item, seed) for item in shuffled))
    return [answer for _, answer in sorted(zip(shuffled, found, strict=True))]


async def _named(item, seed):
    for _ in range(random.Random(_shuffle * 100 + item).randrange(5)):
        await asyncio.sleep(0)
    return await slow(item, (item * seed) % 5)


_shuffle = 0


@step(kind="tool")
def threaded(item: int) -> tuple[str, int]:
    return _run, item


@workflow
def twenty_threads(count: int) -> list:
    shuffled = random.Random(_shuffle).sample(range(count), count)
    with ThreadPoolExecutor(count) as pool:
        waiting = [(item, pool.submit(contextvars.copy_context().run, threaded, item)) for item in shuffled]
        return [answer.result() for _, answer in sorted(waiting, key=lambda pair: pair[0])]


@step
async def branch(name: str, depth: int, width: int) -> dict:
    """A task group of leaves and of groups in it; every leaf and every group takes as long as the shuffle says."""
    found = {}

    async def leaf(item: int) -> None:
        await _latency(f"{name}/{item}")
        # Every second item is asked for by the same words in every branch: only its place tells it apart.
        found[item] = await named(item if item % 2 else f"{name}/{item}", name)

    async def below(item: int) -> None:
        await _latency(f"{name}/below {item}")
        found[f"below {item}"] = await branch(f"{name}/{item}", depth - 1, width)

    async with asyncio.TaskGroup() as tasks:
        for item in random.Random(f"{_shuffle} {name}").sample(range(width), width):
            tasks.create_task(leaf(item))
            if depth:
                tasks.create_task(below(item))
    return dict(sorted(found.items(), key=str))


@step(kind="tool")
async def named(item: object, where: str) -> tuple:
    await _latency(f"{where} {item} inside")
    return _run, item, where


async def _latency(what: str) -> None:
    for _ in range(random.Random(f"{_shuffle} {what}").randrange(4)):
        await asyncio.sleep(0)


@workflow
async def nested_groups(depth: int, width: int) -> dict:
    return await branch("top", depth, width)


REPLAYS = 1000
SHAPES = {
    "a 32-way gather": lambda: asyncio.run(thirty_two(3)),
    "20 threads": lambda: twenty_threads(20),
    "nested task groups": lambda: asyncio.run(nested_groups(2, 3)),
}


class TestManyAtOnce:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.timeout(900)
    def test_replayed_in_a_thousand_orders_they_give_not_one_wrong_value(self, recorded, shape):
        global _run, _shuffle  # noqa: PLW0603
        _run, _shuffle = "recorded", 0
        expected = SHAPES[shape]()
        trace = recorded.trace()
        _run = "replayed"
        with staged(trace.trace_id) as stage:
            for _shuffle in range(1, REPLAYS + 1):
                done = stage.play(Plan(verify=True))
                assert done.output == expected
                assert (done.live, done.divergences) == (0, ())


@step(kind="tool")
def reply(ticket: str) -> str:
    return f"{_run} reply to {ticket}"


@workflow
async def inbox(tickets: tuple[str, ...]) -> list[str]:
    """Tickets at once; each takes its own time before it is replied to."""

    async def one(ticket: str) -> str:
        await _latency(ticket)
        return reply(ticket)

    return list(await asyncio.gather(*map(one, tickets)))


class TestOtherStrategies:
    """What tools do that match by position, or by the address alone, shown on a program and a record of ours."""

    TICKETS = ("card lost", "card found", "card eaten", "card stolen")

    @pytest.fixture
    def record(self, recorded):
        global _run, _shuffle
        _run, _shuffle = "recorded", 0
        self.right = asyncio.run(inbox(self.TICKETS))
        # Another day, other latencies: the calls come in another order.
        _run, _shuffle = "replayed", next(n for n in range(1, 50) if self.order_under(n) != self.order_under(0))
        trace = recorded.trace()
        return [(each, recorded.value(each)) for each in trace.steps if each.name == "reply"], trace

    def order_under(self, shuffle):
        waits = [random.Random(f"{shuffle} {ticket}").randrange(4) for ticket in self.TICKETS]
        return sorted(range(len(waits)), key=lambda at: (waits[at], at))

    def answered_by(self, strategy):
        def asked(ticket):
            async def one():
                await _latency(ticket)
                return strategy(ticket)

            return one()

        async def everything():
            return list(await asyncio.gather(*map(asked, self.TICKETS)))

        return asyncio.run(everything())

    def test_the_nth_call_gets_the_nth_answer_and_so_some_ticket_the_reply_to_another(self, record):
        answers = iter([value for _, value in record[0]])
        wrong = self.answered_by(lambda _: next(answers))
        assert sorted(wrong) == sorted(self.right)
        assert wrong != self.right

    def test_by_the_address_alone_every_ticket_gets_the_same_reply(self, record):
        by_address = {each.name: value for each, value in reversed(record[0])}
        wrong = self.answered_by(lambda _: by_address["reply"])
        assert len(set(wrong)) == 1

    def test_by_identity_each_ticket_gets_its_own(self, record):
        done = replay(record[1].trace_id, verify=True)
        assert (done.output, done.divergences) == (self.right, ())

    def test_a_ticket_that_is_not_the_recorded_one_gets_no_reply_of_it(self, record):
        @workflow(name="inbox")
        async def other(tickets):
            return [reply(ticket.replace("eaten", "swallowed")) for ticket in tickets]

        done = replay(record[1].trace_id, fn=other)
        assert done.output is None
        assert done.first.kind == "input-changed"
        assert "card swallowed" in str(done.stopped)


@workflow
def repeated(items: list) -> list:
    return [ask(item) for item in items]


class TestRepeatedInputs:
    @settings(max_examples=25, deadline=None, database=None)
    @given(items=st.lists(st.integers(0, 2), max_size=12))
    def test_each_recorded_answer_is_given_once(self, tmp_path_factory, items):
        global _run  # noqa: PLW0603
        from tests.replay.support import Recorded

        store = Recorded(tmp_path_factory.getbasetemp() / "repeated")
        _run = "recorded"
        repeated(items)
        trace = store.trace()
        _run = "replayed"
        done = replay(trace.trace_id, verify=True)
        assert done.output == [("recorded", item) for item in items]
        sources = [step_.source_step_id for step_ in store.trace(done.trace_id).steps]
        assert len(set(sources)) == len(sources) == len(items) + 1
