"""What is said of thresholds nobody ran, held against a world in which all of it is known."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.tuning.curve import FEWEST_EXPLORED, curve, student
from router.tuning.observed import Observed
from router.tuning.recommend import above_floor, within_budget

LOGGED = 0.6
CHEAP_NUSD, DEAR_NUSD = 10, 200


def right_at(confidence):
    return 0.3 + 0.6 * confidence, 0.85 + 0.1 * confidence


def world(seed, number=400, explore=0.0):
    """Runs of a cascade at LOGGED, where confidence is uniform and tells how likely either answer is right."""
    chance = random.Random(seed)
    for n in range(number):
        confidence = chance.random()
        cheap, dear = (float(chance.random() < right) for right in right_at(confidence))
        sure = confidence >= LOGGED
        asked = not sure or chance.random() < explore
        yield Observed(
            trace_id=str(n),
            confidence=confidence,
            asked=asked,
            propensity=explore if sure else 1.0,
            cheap=cheap,
            dear=dear if asked else None,
            cheap_nusd=CHEAP_NUSD,
            dear_nusd=DEAR_NUSD if asked else None,
            accept=LOGGED,
        )


@cache
def truth(accept, steps=20_000):
    """The quality of a threshold in that world."""
    each = ((n + 0.5) / steps for n in range(steps))
    return sum(right_at(confidence)[confidence < accept] for confidence in each) / steps


class TestACurve:
    @pytest.mark.parametrize("accept", [0.0, 0.3, 0.6])
    def test_holds_the_truth_where_both_answers_were_seen(self, accept):
        held = 0
        for seed in range(200):
            found = curve(list(world(seed)), [accept]).at(accept)
            held += found.quality.low <= truth(accept) <= found.quality.high
        assert 0.90 * 200 <= held < 200

    @pytest.mark.parametrize("explore", [0.2, 0.5])
    @pytest.mark.parametrize("accept", [0.75, 0.9, 1.1])
    def test_holds_the_truth_where_it_was_explored(self, accept, explore):
        held = tried = 0
        for seed in range(200):
            found = curve(list(world(seed, 1_000, explore)), [accept]).at(accept)
            if found.identified:
                tried += 1
                held += found.quality.low <= truth(accept) <= found.quality.high
        assert tried > 190
        assert 0.90 <= held / tried < 1

    def test_never_says_a_thing_of_what_nobody_saw(self):
        found = curve(list(world(1)))
        assert all(point.identified == (point.accept <= LOGGED) for point in found.points if point.escalated < 1)
        for point in found.points:
            if not point.identified:
                assert (point.quality.value, point.quality.low, point.cost.value) == (None, None, None)
                assert "never seen" in point.why_not
        assert not found.dear_alone.identified
        assert found.gap is not None
        assert LOGGED <= found.gap.low <= found.gap.high <= 1

    def test_does_not_trust_a_handful(self):
        runs = list(world(1, number=60, explore=0.1))
        found = curve(runs, [1.1]).at(1.1)
        assert sum(run.asked and run.propensity < 1 for run in runs) < FEWEST_EXPLORED
        assert "explored" in found.why_not

    def test_that_was_explored_in_full_is_what_was_seen(self):
        runs = list(world(3, explore=1.0))
        found = curve(runs, [0.8]).at(0.8)
        seen = sum(run.dear if run.confidence < 0.8 else run.cheap for run in runs)
        assert found.quality.value == pytest.approx(seen / len(runs))
        assert found.effective == pytest.approx(len(runs))

    def test_is_less_certain_the_less_was_explored(self):
        much, little = (curve(list(world(5, 2_000, explore)), [1.1]).at(1.1) for explore in (0.5, 0.05))
        assert little.effective < much.effective
        assert little.quality.high - little.quality.low > much.quality.high - much.quality.low

    def test_costs_what_the_policy_would_ask(self):
        found = curve(list(world(2)), [0.3])
        assert found.cheap_alone.cost.value == CHEAP_NUSD
        point = found.at(0.3)
        assert point.cost.value == pytest.approx(CHEAP_NUSD + point.escalated * DEAR_NUSD)

    def test_has_no_cost_where_a_price_is_unknown(self):
        runs = [Observed("a", 0.2, asked=True, propensity=1, cheap=1, dear=1, cheap_nusd=5)]
        assert curve(runs, [0.5]).at(0.5).cost.value is None
        assert curve(runs, [0.5]).cheap_alone.cost.value == 5

    def test_says_what_was_not_scored(self):
        runs = [
            Observed("a", 0.2, asked=True, propensity=1, dear=1),
            Observed("b", 0.9, asked=False, propensity=0, cheap=1),
        ]
        found = curve(runs, [0.5])
        assert found.at(0.5).identified
        assert "cheap answer of 1 of 2 runs was never scored" in found.cheap_alone.why_not

    def test_ends_are_cheap_alone_and_dear_alone(self):
        runs = list(world(4, explore=1.0))
        found = curve(runs)
        assert found.cheap_alone.quality.value == pytest.approx(sum(run.cheap for run in runs) / len(runs))
        assert found.dear_alone.quality.value == pytest.approx(sum(run.dear for run in runs) / len(runs))
        assert found.points[-1].quality == found.dear_alone.quality
        assert (found.dear_alone.cost.value, found.points[-1].cost.value) == (DEAR_NUSD, CHEAP_NUSD + DEAR_NUSD)

    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=40))
    def test_of_whatever_was_fully_seen_stays_within_its_bounds(self, rows):
        runs = [Observed(str(n), c, asked=True, propensity=1, cheap=a, dear=b) for n, (c, a, b) in enumerate(rows)]
        for point in curve(runs).points:
            assert point.identified
            assert 0 <= point.quality.low <= point.quality.value <= point.quality.high <= 1

    def test_of_nothing_is_refused(self):
        with pytest.raises(ValueError, match="at least one"):
            curve([])

    def test_a_chance_that_can_not_be_is_refused(self):
        with pytest.raises(ValueError, match="trace t"):
            Observed("t", 0.5, asked=True, propensity=0.0)
        with pytest.raises(ValueError, match="probability"):
            Observed("t", 0.5, asked=True, propensity=1.5)


class TestStudentsT:
    @pytest.mark.parametrize(("freedom", "value"), [(5, 2.571), (10, 2.228), (20, 2.086), (100, 1.984)])
    def test_is_that_of_the_tables(self, freedom, value):
        assert student(freedom) == pytest.approx(value, abs=0.03)


class TestARecommendation:
    found = curve(list(world(7, 4_000)))

    def test_within_a_budget_is_the_best_that_surely_costs_no_more(self):
        told = within_budget(self.found, 100)
        assert told.point.cost.high <= 100
        better = [p for p in self.found.points if p.identified and p.quality.value > told.point.quality.value]
        assert all(point.cost.high > 100 for point in better)

    def test_above_a_floor_is_the_cheapest_that_surely_is_as_good(self):
        told = above_floor(self.found, 0.65)
        assert told.point.quality.low >= 0.65
        cheaper = [p for p in self.found.points if p.identified and p.cost.value < told.point.cost.value]
        assert all(point.quality.low < 0.65 for point in cheaper)

    def test_is_none_where_nothing_that_is_known_will_do(self):
        assert above_floor(self.found, 0.99).point is None
        assert "none of the" in above_floor(self.found, 0.99).why
        assert within_budget(self.found, 1).point is None
