"""The pure part of the registry: roles, picks, and when a canary goes back."""

from __future__ import annotations

import json
import random
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.errors import RegistryError
from router.registry.entry import Arm, Change, Pick, Role, checked_name, pick_of, point_of
from router.registry.files import with_role
from router.registry.policy import Guard, Tally, Verdict, judge, lowest_difference

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
settings = st.dictionaries(
    texts, st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
arms = st.builds(Arm, texts, settings)
roles = st.builds(Role, arms, st.none(), st.just(0.0), st.text(max_size=5)) | st.builds(
    Role, arms, arms, st.floats(0, 100) | st.integers(0, 100), st.text(st.characters(codec="utf-8"), max_size=5)
)
A, B = Arm("a"), Arm("b")


class TestAKey:
    def test_lies_where_it_has_always_lain(self):
        """Frozen: a change of these would move users from arm to arm."""
        assert point_of("draft", "", "user-1") == pytest.approx(POINTS[0], abs=1e-15)
        assert point_of("draft", "2", "user-1") == pytest.approx(POINTS[1], abs=1e-15)

    @given(texts, texts, st.floats(0, 100), st.floats(0, 100))
    def test_that_is_with_the_canary_stays_there_while_its_share_grows(self, role, key, one, other):
        less, more = sorted([one, other])
        point = point_of(role, "", key)
        if Role(A, B, less).arm_at(point) == "canary":
            assert Role(A, B, more).arm_at(point) == "canary"

    @given(texts, texts, texts)
    def test_is_one_with_its_role_and_salt_and_not_their_text_in_a_row(self, salt, role, key):
        assert point_of(role, salt, key) != point_of(role + key[:1], salt, key[1:] + salt)
        assert 0.0 <= point_of(role, salt, key) < 1.0

    def test_falls_into_a_share_as_often_as_the_share_says(self):
        role = Role(A, B, 10.0)
        hits = sum(role.arm_at(point_of("draft", "", f"user-{number}")) == "canary" for number in range(20_000))
        assert 1_830 <= hits <= 2_170  # four standard deviations

    @pytest.mark.parametrize(("share", "arm"), [(0, "production"), (100, "canary")])
    def test_at_no_share_and_at_all_of_it_has_no_choice(self, share, arm):
        assert {Role(A, B, share).arm_at(point_of("r", "", str(key))) for key in range(1000)} == {arm}


#: Taken from this implementation once, when it was made.
POINTS = (0.7257763506862581, 0.5726535308622516)


class TestAPick:
    def test_says_with_what_probability_it_was_made(self):
        role = Role(A, B, 10)
        canary, production = (pick_of("draft", role, None, lambda point=point: point) for point in (0.05, 0.5))
        assert (canary.target, canary.propensity, canary.reason) == ("b", 0.1, "drawn for canary's 10 %")
        assert (production.target, production.propensity) == ("a", 0.9)
        assert pick_of("draft", Role(A), None, lambda: 1 / 0).propensity == 1.0

    def test_needs_no_draw_where_there_is_a_key(self):
        assert pick_of("draft", Role(A, B, 10), "user-1", lambda: 1 / 0).how == "sticky"

    def test_of_an_arm_that_is_not_there_is_refused(self):
        with pytest.raises(ValueError, match=r"draft has no arm 'canary' \(it has production\)"):
            Pick("draft", "canary", A)


class TestARole:
    @given(roles)
    def test_comes_back_from_its_plain_form(self, role):
        assert Role.of(json.loads(json.dumps(role.as_plain()))) == role

    @given(roles, roles)
    def test_comes_back_from_a_file_and_leaves_the_rest_of_it_alone(self, role, other):
        text = with_role(with_role('# ours\n\n[kept]\nproduction = "k" # why\n', "draft", other), "sort", role)
        text = with_role(text, "draft", role)
        assert {name: Role.of(plain) for name, plain in tomllib.loads(text).items()} == {
            "kept": Role(Arm("k")),
            "draft": role,
            "sort": role,
        }
        assert text.startswith('# ours\n\n[kept]\nproduction = "k" # why\n')

    @pytest.mark.parametrize(
        "plain",
        [
            None,
            [],
            {},
            {"production": ""},
            {"production": 7},
            {"production": {"target": "a", "temperature": 1}},
            {"production": "a", "canary": "b", "share": 101},
            {"production": "a", "canary": "b", "share": -1},
            {"production": "a", "canary": "b", "share": "10"},
            {"production": "a", "canary": "b", "share": True},
            {"production": "a", "canary": "b", "share": float("nan")},
            {"production": "a", "share": 10},
            {"production": "a", "salt": 7},
        ],
        ids=str,
    )
    def test_that_can_not_be_is_refused(self, plain):
        with pytest.raises(RegistryError):
            Role.of(plain)

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "a[0]", "-a", "a\n"], ids=repr)
    def test_of_a_name_that_no_step_could_have_is_refused(self, name):
        with pytest.raises(RegistryError, match="name"):
            checked_name(name)

    def test_without_a_canary_has_none_to_promote(self):
        with pytest.raises(RegistryError, match="no canary to promote: a has the role alone"):
            Role(A).promoted()

    def test_that_was_never_another_has_nothing_to_roll_back_to(self):
        with pytest.raises(RegistryError, match="a is the first"):
            Role(A).rolled_back((Change(1, "me", "set", None, Role(A)),))


class ARoleThatIsChanged(RuleBasedStateMachine):
    """set, promote and rollback in any order, against a list of who was production."""

    @initialize()
    def begin(self):
        self.number = 0
        self.role = Role(Arm("m0"))
        self.changes = (Change(0, "me", "set", None, self.role),)
        self.stack = ["m0"]

    def change(self, verb, after):
        self.changes = (*self.changes, Change(0, "me", verb, self.role, after))
        self.role = after

    @rule(share=st.floats(0, 100))
    def a_canary_comes(self, share):
        self.number += 1
        self.change("set", Role(self.role.production, Arm(f"m{self.number}"), share))

    @rule()
    def it_is_promoted(self):
        if self.role.canary is None:
            with pytest.raises(RegistryError):
                self.role.promoted()
            return
        self.stack = [self.role.production.target, self.role.canary.target]
        self.change("promote", self.role.promoted())

    @rule()
    def it_goes_back(self):
        if self.role.canary is None and len(self.stack) < 2:
            return
        before = self.role
        after = self.role.rolled_back(self.changes)
        assert after.canary is None
        if before.canary is None:
            assert after.production.target == self.stack[0]
            self.stack = self.stack[:1]
        else:
            assert after.production == before.production
        self.change("rollback", after)

    @invariant()
    def changes_come_back_from_their_plain_form(self):
        if hasattr(self, "changes"):
            assert tuple(Change.of(json.loads(json.dumps(each.as_plain()))) for each in self.changes) == self.changes


TestARoleThatIsChanged = ARoleThatIsChanged.TestCase


class TestAVerdict:
    def test_is_to_keep_while_there_are_too_few_outcomes(self):
        verdict = judge(Tally(1000), Tally(29, failures=29), Guard(at_least=30))
        assert verdict == Verdict(
            "keep", "too few outcomes to tell: 29 of the canary, 1000 of production, 30 of each needed"
        )

    def test_is_to_go_back_when_a_rate_is_surely_worse_and_names_it(self):
        verdict = judge(Tally(300, failures=6), Tally(30, failures=15), Guard())
        assert verdict.action == "rollback"
        assert verdict.reason.startswith("failures: 15 of 30 (50.0%), production 6 of 300 (2.0%); surely worse by")

    @pytest.mark.parametrize("rate", ["failures", "fallbacks", "escalations"])
    def test_looks_at_every_rate(self, rate):
        assert judge(Tally(300), Tally(30, **{rate: 20}), Guard()).reason.startswith(rate)

    def test_keeps_a_canary_that_is_worse_by_no_more_than_was_allowed(self):
        production, canary = Tally(5000, failures=100), Tally(5000, failures=300)
        assert judge(production, canary, Guard()).action == "rollback"
        assert judge(production, canary, Guard(worse_by=0.05)).action == "keep"

    def test_needs_no_outcomes_where_the_breaker_is_open(self):
        assert judge(Tally(), Tally(), Guard(), breaker="open") == Verdict("rollback", "the canary's breaker is open")
        assert judge(Tally(), Tally(), Guard(), breaker="half-open").action == "keep"

    def test_seldom_sends_back_a_canary_that_is_no_worse_though_it_is_asked_after_every_outcome(self):
        """200 rollouts of 1,500 outcomes of which 10 % are the canary's, both failing at 10 %; 5 % may go wrong."""
        sent_back = sum(rollout(seed, canary_fails=0.1) is not None for seed in range(200))
        assert sent_back <= 16  # 10 expected at most; two standard deviations above

    def test_soon_sends_back_one_that_fails_half_the_time(self):
        ends = [rollout(seed, canary_fails=0.5) for seed in range(50)]
        assert all(end is not None and end <= 100 for end in ends), ends

    @given(st.integers(1, 200), st.integers(1, 200), st.data())
    def test_rests_on_an_interval_that_lies_below_the_difference_seen(self, n, m, data):
        bad, usual = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
        low = lowest_difference(bad, n, usual, m, 0.025)
        assert -1.0 - 1e-9 <= low <= bad / n - usual / m + 1e-9

    def test_rests_on_newcombes_own_example(self):
        """His table II (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339."""
        assert lowest_difference(56, 70, 48, 80, 0.025) == pytest.approx(0.0524, abs=5e-5)


def rollout(seed, canary_fails):
    """How many outcomes the canary had when it was sent back; None: it stayed."""
    drawn = random.Random(seed)
    tallies = {"production": Tally(), "canary": Tally()}
    for _ in range(1_500):
        arm = "canary" if drawn.random() < 0.1 else "production"
        failed = drawn.random() < (canary_fails if arm == "canary" else 0.1)
        tallies[arm] = tallies[arm].plus(failed=failed)
        if judge(tallies["production"], tallies["canary"], Guard()).action == "rollback":
            return tallies["canary"].n
    return None
