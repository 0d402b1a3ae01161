from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay.words import around, spans

TEXTS = st.lists(st.sampled_from(["card", "lost", "Ada", " ", "\n", ".", "é"]), max_size=30).map("".join)


class TestTwoTexts:
    @given(TEXTS, TEXTS)
    def test_are_the_pieces_joined_and_what_is_not_marked_is_in_both(self, before, after):
        one, other = spans(before, after)
        assert ("".join(each.text for each in one), "".join(each.text for each in other)) == (before, after)
        assert [each.text for each in one if not each.changed] == [each.text for each in other if not each.changed]

    @given(TEXTS, TEXTS, st.integers(1, 60))
    def test_in_one_line_show_what_changed_first_within_their_bound(self, before, after, most):
        for pieces in spans(before, after):
            line = around(pieces, most)
            text = "".join(each.text for each in line)
            assert "\n" not in text
            assert len(text) <= most + 4
            if any(each.changed for each in pieces):
                assert any(each.changed for each in line) or most < 4

    def test_words_that_differ_are_marked_and_the_others_are_not(self):
        before, after = spans("I have blocked your card.", "I have replaced your card.")
        assert [(one.text, one.changed) for one in before] == [
            ("I have ", False),
            ("blocked", True),
            (" your card.", False),
        ]
        assert [one.text for one in after if one.changed] == ["replaced"]

    def test_texts_that_have_little_in_common_are_two_texts(self):
        before, after = spans("one two three", '{"intent": "lost"}')
        assert [one.changed for one in (*before, *after)] == [True, True]

    def test_nothing_has_no_pieces(self):
        assert spans("", "new")[0] == ()

    def test_huge_texts_are_not_compared_word_by_word(self):
        assert len(spans("a b " * 10_000, "a c " * 10_000)[0]) == 1
