"""What is said of a sample, held against figures worked out elsewhere and against their own definitions."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.stats.intervals import Z, apart, difference, mcnemar, product, quantile, ratio, share

counts = st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


class TestAShare:
    @pytest.mark.parametrize(
        ("count", "of", "low", "high"),
        # R: prop.test(81, 263, correct=FALSE), prop.test(15, 148, ...), (0, 20), (1, 29): Newcombe 1998, table I
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_has_wilsons_interval(self, count, of, low, high):
        found = share(count, of)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)

    @given(counts)
    def test_lies_within_its_interval_which_lies_within_0_and_1(self, drawn):
        found = share(*drawn)
        assert found.value is not None
        assert 0 <= found.low <= found.value <= found.high <= 1

    @given(counts)
    def test_has_the_bounds_at_which_the_share_seen_is_just_z_deviations_away(self, drawn):
        count, of = drawn
        found = share(count, of)
        for bound in {found.low, found.high} - {0.0, 1.0}:
            deviation = (bound * (1 - bound) / of) ** 0.5
            assert abs(count / of - bound) == pytest.approx(Z * deviation, rel=1e-6)

    def test_of_nothing_is_unknown(self):
        found = share(0, 0)
        assert (found.value, found.low, found.high) == (None, 0.0, 1.0)


class TestADifference:
    def test_sums_both_sides_and_gives_the_mean_of_a_pair(self):
        found = difference([(10, 14), (20, 22), (30, 33)])
        assert (found.before, found.after, found.total, found.pairs, found.mean) == (60, 69, 9, 3, 3)

    @given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=2, max_size=20))
    def test_has_an_interval_within_what_was_seen(self, pairs):
        found, deltas = difference(pairs), [after - before for before, after in pairs]
        assert found.low is not None
        assert found.high is not None
        assert min(deltas) - 1e-6 <= found.low <= found.high <= max(deltas) + 1e-6

    def test_of_the_same_pairs_is_the_same_again(self):
        pairs = [(n, n * n % 17) for n in range(50)]
        assert difference(pairs) == difference(pairs)

    def test_of_many_pairs_has_nearly_the_interval_of_resampling(self):
        deltas = [(0, n * n % 101) for n in range(300)]
        resampled, normal = difference(deltas), difference([*deltas, (0, 50)])
        assert normal.low == pytest.approx(resampled.low, rel=0.01)
        assert normal.high == pytest.approx(resampled.high, rel=0.01)

    def test_of_one_pair_has_no_interval(self):
        assert (difference([(1, 5)]).low, difference([(1, 5)]).mean) == (None, 4)


class TestASplit:
    @given(st.integers(0, 200), st.integers(0, 200))
    def test_is_as_likely_as_the_binomial_says(self, before, after):
        number = before + after
        exact = Fraction(2 * sum(comb(number, k) for k in range(min(before, after) + 1)), 2**number)
        assert mcnemar(before, after) == pytest.approx(float(min(Fraction(1), exact)), rel=1e-9)

    def test_of_thousands_is_no_error(self):
        assert mcnemar(2_000, 3_000) < 1e-40


class TestAQuantile:
    @pytest.mark.parametrize(("number", "q", "low", "high"), [(10, 0.5, 2, 9), (20, 0.5, 6, 15), (100, 0.5, 40, 61)])
    def test_has_the_ranks_that_the_tables_give(self, number, q, low, high):
        # Conover, Practical Nonparametric Statistics, 3rd ed., 3.2; R: binom.test and qbinom
        found = quantile(range(1, number + 1), q)
        assert (found.low, found.high) == (low, high)

    @given(st.integers(1, 3_000), st.sampled_from([0.5, 0.95, 0.99]))
    def test_lies_within_its_bounds_which_are_values_that_were_seen(self, number, q):
        found = quantile(range(number), q)
        assert found.value is not None
        low, high = found.low or 0, number - 1 if found.high is None else found.high
        assert 0 <= low <= found.value <= high < number

    def test_has_no_upper_bound_where_the_sample_is_too_small_for_one(self):
        assert quantile(range(50), 0.99).high is None
        assert quantile([], 0.5).value is None

    def test_holds_what_it_promises(self):
        chance, held = random.Random(1), 0
        for _ in range(400):
            found = quantile(sorted(chance.random() for _ in range(101)), 0.9)
            held += found.low <= 0.9 <= (math.inf if found.high is None else found.high)
        assert held >= 0.93 * 400

    def test_by_the_limit_of_the_ranks_is_nearly_the_exact_one(self):
        exact, limit = quantile(range(1_000), 0.95), quantile(range(1_001), 0.95)
        assert (limit.low, limit.high) == (pytest.approx(exact.low, abs=2), pytest.approx(exact.high, abs=2))


class TestADifferenceOfTwoSamples:
    @pytest.mark.parametrize(
        ("one", "other", "low", "high"),
        # Newcombe 1998 (difference), table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20
        [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090), ((0, 20), (10, 10), 0.6791, 1.0)],
    )
    def test_of_shares_is_newcombes(self, one, other, low, high):
        found = apart(share(*one), share(*other))
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)

    def test_is_unknown_where_a_side_is(self):
        assert apart(share(0, 0), share(1, 2)).value is None


class TestARatio:
    def test_of_parts_that_are_always_the_same_share_is_certain(self):
        found = ratio([1, 2, 3], [2, 4, 6])
        assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)

    def test_holds_what_it_promises(self):
        chance, held = random.Random(2), 0
        for _ in range(400):
            wholes = [chance.expovariate(1) for _ in range(200)]
            found = ratio([whole * chance.betavariate(2, 2) for whole in wholes], wholes)
            held += found.low <= 0.5 <= found.high
        assert held >= 0.92 * 400


class TestAProduct:
    def test_holds_what_it_promises(self):
        chance, held, rights = random.Random(3), 0, (0.9, 0.8, 0.95)
        for _ in range(400):
            found = product([share(sum(chance.random() < right for _ in range(80)), 80) for right in rights])
            held += found.low <= math.prod(rights) <= found.high
        assert held >= 0.93 * 400

    def test_with_nothing_right_is_0_and_may_be_more(self):
        found = product([share(0, 10), share(9, 10)])
        assert (found.value, found.low) == (0, 0)
        assert found.high > 0

    def test_of_nothing_is_unknown(self):
        assert product([]).value is None
        assert product([share(0, 0)]).value is None
