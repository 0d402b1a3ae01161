"""The pure part of a breaker: states, what comes next, and when failures are too many."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.breaker.state import (
    Abandoned,
    Ask,
    Closed,
    Failed,
    HalfOpen,
    Open,
    Rules,
    Succeeded,
    admits,
    retold,
    told,
)
from router.breaker.trips import Consecutive, Rate

RULES = Rules(Consecutive(2), open_s=10.0, probe_s=5.0)


def play(state, *events, rules=RULES):
    """The state after events, each with its time."""
    for now, event in events:
        state = state.next(event, now, rules)
    return state


def closed(rules=RULES):
    return Closed(0, rules.trip.empty())


class TestACircuit:
    def test_opens_at_the_failure_that_is_one_too_many_and_says_why(self):
        state = play(closed(), (0.0, Failed(0, "timeout")))
        assert isinstance(state, Closed)
        assert play(state, (1.0, Failed(0, "429"))) == Open(1, 11.0, "2 failures in a row, the last one: 429")

    def test_forgets_failures_at_a_success(self):
        assert isinstance(play(closed(), (0, Failed(0)), (0, Succeeded(0)), (0, Failed(0))), Closed)

    def test_lets_one_probe_through_when_its_time_is_over(self):
        state = Open(1, 11.0, "why")
        assert play(state, (10.9, Ask())) is state
        probing = play(state, (11.0, Ask()))
        assert probing == HalfOpen(2, 16.0, "why")
        assert admits(state, probing)
        assert play(probing, (15.9, Ask())) is probing

    def test_closes_with_its_probe_or_opens_again(self):
        probing = HalfOpen(2, 16.0, "why")
        assert play(probing, (12.0, Succeeded(2))) == Closed(3, 0)
        assert play(probing, (12.0, Failed(2, "again"))) == Open(3, 22.0, "again")

    def test_whose_probe_tells_nothing_lets_the_next_one_try_at_once(self):
        released = play(HalfOpen(2, 16.0, "why"), (12.0, Abandoned(2)))
        assert released == Open(3, 12.0, "why")
        assert isinstance(play(released, (12.0, Ask())), HalfOpen)

    def test_gives_up_a_probe_that_never_reports_and_no_longer_hears_it(self):
        first = HalfOpen(2, 16.0, "why")
        second = play(first, (16.0, Ask()))
        assert admits(first, second)
        assert play(second, (17.0, Succeeded(2))) is second
        assert play(second, (17.0, Succeeded(3))) == Closed(4, 0)

    @pytest.mark.parametrize("late", [Succeeded(0), Failed(0), Abandoned(0)], ids=["succeeded", "failed", "abandoned"])
    def test_does_not_hear_calls_from_before_it_opened(self, late):
        for state in (Open(1, 11.0, "why"), HalfOpen(2, 16.0, "why"), Closed(3, 1)):
            assert play(state, (12.0, late)) is state

    @pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")], ids=str)
    def test_is_not_made_with_times_that_can_not_be(self, wrong):
        with pytest.raises(ValueError, match="open_s"):
            Rules(Consecutive(), open_s=wrong)
        with pytest.raises(ValueError, match="probe_s"):
            Rules(Consecutive(), probe_s=wrong)


class TestARate:
    RATE = Rate(0.5, window_s=10.0, at_least=4)

    def counted(self, *ended):
        counted = self.RATE.empty()
        for now, failed in ended:
            counted = self.RATE.after(counted, now, failed=failed)
        return counted

    def test_says_nothing_about_fewer_calls_than_it_needs(self):
        counted = self.counted((0, True), (0, True), (0, True))
        assert self.RATE.reason(counted, 0) is None
        assert self.RATE.reason(self.RATE.after(counted, 1, failed=False), 1) == "3 of 4 calls failed within 10 s"

    def test_opens_at_its_share_and_not_below_it(self):
        assert self.RATE.reason(self.counted((0, True), (0, True), (0, False), (0, False)), 0) is not None
        assert self.RATE.reason(self.counted((0, True), (0, False), (0, False), (0, False)), 0) is None

    def test_forgets_what_fell_out_of_its_window(self):
        old = self.counted(*[(0, True)] * 10)
        assert self.RATE.reason(old, 8.9) is not None
        assert self.RATE.reason(old, 10.0) is None

    @given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
    def test_counts_what_ended_within_its_window_give_or_take_a_tenth(self, ended):
        ended.sort(key=lambda each: each[0])
        counted = self.counted(*ended)
        now = ended[-1][0] if ended else 0.0
        calls = sum(calls for _, calls, _ in self.RATE.told(counted, now))
        surely = sum(1 for at, _ in ended if at > now - 8.999)
        at_most = sum(1 for at, _ in ended if at >= now - 10.001)
        assert surely <= calls <= at_most

    @pytest.mark.parametrize(
        "told",
        [{"share": 0.0}, {"share": 1.1}, {"window_s": 0.0}, {"window_s": float("nan")}, {"at_least": 0}],
        ids=str,
    )
    def test_is_not_made_of_what_can_not_be(self, told):
        with pytest.raises(ValueError, match=next(iter(told))):
            Rate(**told)

    def test_of_no_failures_in_a_row_is_refused(self):
        with pytest.raises(ValueError, match="at least 1"):
            Consecutive(0)


TRIPS = [Consecutive(3), Rate(0.5, 10.0, 4)]


class TestAStateThatWasTold:
    @pytest.mark.parametrize("trip", TRIPS, ids=["consecutive", "rate"])
    @given(data=st.data())
    def test_comes_back_as_it_was_whatever_the_other_clock_says(self, trip, data):
        rules = Rules(trip, 10.0, 5.0)
        counted = trip.empty()
        for failed in data.draw(st.lists(st.booleans(), max_size=2)):
            counted = trip.after(counted, 100.0, failed=failed)
        state = data.draw(
            st.sampled_from([Closed(1, counted), Open(1, 107.0, "why"), HalfOpen(1, 104.0, "why"), Open(1, 90.0, "")])
        )
        plain = json.loads(json.dumps(told(state, 100.0, rules)))
        back = retold(plain, 5000.0, rules, epoch=1)
        assert told(back, 5000.0, rules) == told(state, 100.0, rules)
        assert back.name == state.name

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["state", "left_s", "counted", "reason"]), inner, max_size=4)
            ),
        )
        | st.fixed_dictionaries({"state": st.sampled_from(["open", "half-open", "closed"]), "left_s": st.floats()})
    )
    def test_is_a_state_whatever_was_told_and_open_no_longer_than_the_rules_allow(self, plain):
        for trip in TRIPS:
            state = retold(plain, 100.0, Rules(trip, 10.0, 5.0), epoch=7)
            assert state.epoch == 7
            if not isinstance(state, Closed):
                assert state.until <= 110.0


class ABreakerThatAnyoneMayUse(RuleBasedStateMachine):
    """Callers come, report late, twice or never; a clock goes on. Held against what was promised, kept by hand."""

    rules = Rules(Consecutive(3), 10.0, 5.0)

    @initialize(trip=st.sampled_from([Consecutive(1), Consecutive(3), Rate(0.5, 10.0, 4)]))
    def begin(self, trip):
        self.rules = Rules(trip, 10.0, 5.0)
        self.now = 0.0
        self.state = Closed(0, trip.empty())
        self.calls = []
        self.probe = None  # (epoch, when it is given up)
        self.opened = None

    def step(self, event):
        before, self.state = self.state, self.state.next(event, self.now, self.rules)
        if isinstance(self.state, Open) and self.state is not before:
            self.opened = self.now
        return before

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 4.9, 5.0, 9.9, 10.0, 60.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def somebody_asks(self):
        before = self.step(Ask())
        if not admits(before, self.state):
            return
        assert not isinstance(before, Open) or self.now >= before.until, "an open circuit let a call through"
        if isinstance(self.state, HalfOpen):
            assert self.probe is None or self.now >= self.probe[1], "a second probe while the first is under way"
            self.probe = (self.state.epoch, self.now + self.rules.probe_s)
        self.calls.append(self.state.epoch)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), kind=st.sampled_from([Succeeded, Failed, Abandoned]), again=st.booleans())
    def somebody_reports(self, data, kind, again):
        epoch = data.draw(st.sampled_from(self.calls))
        if not again:
            self.calls.remove(epoch)
        before = self.step(kind(epoch))
        if epoch != before.epoch:
            assert self.state is before, "a report from another epoch changed the circuit"
        elif isinstance(before, HalfOpen):
            self.probe = None
            expected = {Succeeded: Closed, Failed: Open, Abandoned: Open}[kind]
            assert isinstance(self.state, expected)

    @invariant()
    def an_epoch_only_grows_and_an_open_circuit_ends(self):
        if hasattr(self, "state") and isinstance(self.state, Open):
            assert self.opened is not None
            assert self.state.until <= self.opened + self.rules.open_s


TestABreakerThatAnyoneMayUse = ABreakerThatAnyoneMayUse.TestCase
