from __future__ import annotations

from replay.compare import Change
from replay.divergence import Divergence, Stopped


class TestTheWordsOfADivergence:
    def test_two_long_texts_are_shown_where_they_part(self):
        before, after = ("x" * 5_000 + word + "y" * 5_000 for word in ("billing", "loans"))
        said = str(Divergence("input-changed", "w/draft", "stopped", changes=(Change("$.text", before, after),)))
        assert "xxbillingyy" in said
        assert "xxloansyy" in said
        assert len(said) < 400

    def test_short_ones_are_shown_whole(self):
        said = str(Divergence("input-changed", "w/draft", "stopped", changes=(Change("$.n", 1, "two"),)))
        assert said == "w/draft: input-changed, stopped; first at $.n: 1 -> 'two'"

    def test_a_stop_is_one_line_whatever_it_is_about(self):
        change = Change("$.text", "one\ntwo", "one\nthree")
        stop = Stopped(Divergence("input-changed", "w/draft", "stopped", changes=(change,)), "do this\nor that")
        assert "\n" not in str(stop)
        assert str(stop).endswith(". do this or that")
