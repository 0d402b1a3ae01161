"""Whether an answer is right: its last number is the right one. For ``playhead tune --scorer scoring:is_right``."""

from __future__ import annotations

from pipeline import final_number

from router.tuning.scoring import Given


def is_right(given: Given) -> bool:
    return final_number(given.answer) == final_number(given.scores["gold"])
