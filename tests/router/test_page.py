"""The example of docs/routing.md, run as it stands there."""

from __future__ import annotations

import re

import pytest

from tests.loopback import Loopback, Reply
from tests.sources import REPOSITORY
from tracer.decisions import decision_in


def example(number):
    page = (REPOSITORY / "docs" / "routing.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[number]


@pytest.fixture
def page():
    """The names of the first example, its two models served on 127.0.0.1."""
    with Loopback() as small, Loopback() as large:
        source = (
            example(0).replace("http://127.0.0.1:8001/v1", small.url).replace("http://127.0.0.1:8002/v1", large.url)
        )
        names = {"__name__": "page"}
        exec(compile(source, "routing.md", "exec"), names)
        yield names, small, large


class TestThePage:
    def test_its_example_answers_with_the_cheap_model(self, page, recorded):
        names, small, _ = page
        small.next(Reply(words=("We block your card at once.",)))
        assert names["reply"]("my card is lost") == "We block your card at once."
        assert decision_in(recorded().steps[1].tags).chosen == "small"

    def test_its_example_retries_falls_back_and_ends_with_the_rule(self, page, recorded):
        names, small, large = page
        small.next(Reply(status=429, headers={"retry-after-ms": "1"}), Reply(words=("No.",)))
        large.next(*(Reply(status=500, headers={"retry-after-ms": "1"}) for _ in range(3)))
        assert names["reply"]("my card is lost") == names["template"]("")
        told = decision_in(recorded().steps[1].tags)
        assert (told.attempts, told.retries, told.chosen) == (6, 3, "template")

    def test_its_budget_is_spent_by_what_the_call_cost(self, page, recorded, capsys):
        names, small, _ = page
        small.next(Reply(words=("We block your card at once.",)))
        # a minute more: the machine of a test may be slow
        exec(compile(example(1).replace("deadline(10)", "deadline(70)"), "routing.md", "exec"), names)
        seconds, usd = map(float, capsys.readouterr().out.split())
        assert 0 < seconds <= 70
        assert usd == pytest.approx(0.05 - (11 * 150 + 7 * 600) / 1e9, abs=1e-12)
