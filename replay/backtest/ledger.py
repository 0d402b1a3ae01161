"""What a backtest has done already: a file of JSON lines in the home folder, so that one cut short goes on.

The first line says what was asked (plan, scorer, traces, budget), each further one what came of a trace. Only the
process that runs the backtest writes it, a line at a time; a line that was cut off by its death is passed over. What a
replay did that has no line yet is found by its tag, in the store (replay.backtest.work).
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Mapping

from replay.backtest.outcome import Outcome
from replay.errors import PlanError
from replay.plan import Rule

_FOLDER = "backtests"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a backtest was begun with. ``rules`` are the command line's words; ``plain_rules`` what the rules can be
    made from again, None where a rule holds something that JSON can't (a Target)."""

    backtest_id: str
    rules: tuple[str, ...]
    plain_rules: tuple[tuple[str, str, Any], ...] | None
    scorer: str
    traces: tuple[str, ...]
    budget_nusd: int | None = None
    on_divergence: str = "stop"

    def rules_again(self) -> tuple[Rule, ...]:
        """The plan. Raises PlanError where the file could not keep it."""
        if self.plain_rules is None:
            raise PlanError(f"backtest {self.backtest_id} has rules that a file can't hold: give the same rules again")
        return tuple(Rule(verb, pattern, value) for verb, pattern, value in self.plain_rules)  # type: ignore[arg-type]


class Ledger:
    """The file of one backtest. ``outcomes`` has the last of each trace, ``spent_nusd`` the sum over all lines."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path = path
        self.asked = asked
        self.outcomes: dict[str, Outcome] = {}
        self.spent_nusd = 0

    def add(self, outcome: Outcome) -> None:
        """Write down what came of a trace."""
        self._take(outcome)
        _append(self.path, outcome.as_json())

    def final(self) -> dict[str, Outcome]:
        """What needs not be done again, by trace."""
        return {trace_id: outcome for trace_id, outcome in self.outcomes.items() if not outcome.over_budget}

    def _take(self, outcome: Outcome) -> None:
        self.outcomes[outcome.trace_id] = outcome
        self.spent_nusd += outcome.spent_nusd

    @classmethod
    def begin(cls, home: Path, asked: Asked) -> Ledger:
        path = path_of(home, asked.backtest_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _append(path, asdict(asked))
        return cls(path, asked)

    @classmethod
    def resume(cls, home: Path, backtest_id: str) -> Ledger | None:
        """The ledger of a backtest that was begun here, to go on with it, or None. Raises PlanError for a file that is
        none."""
        ledger = cls.read(home, backtest_id)
        if ledger is not None and not ledger.path.read_bytes().endswith(b"\n"):  # its writer died within a line
            with ledger.path.open("ab") as file:
                file.write(b"\n")
        return ledger

    @classmethod
    def read(cls, home: Path, backtest_id: str) -> Ledger | None:
        """The same, only to look at it: another process may be writing."""
        path = path_of(home, backtest_id)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        head, *rest = [_read(line) for line in text.split("\n")]
        if head is None or head.get("backtest_id") != backtest_id:
            raise PlanError(f"{path} is no ledger of a backtest: move it away, or begin one of another name")
        rules = head["plain_rules"]
        plain = None if rules is None else tuple((verb, pattern, value) for verb, pattern, value in rules)
        told = {**head, "rules": tuple(head["rules"]), "plain_rules": plain, "traces": tuple(head["traces"])}
        ledger = cls(path, Asked(**told))
        for line in rest:
            if line is not None:
                ledger._take(Outcome.of_json(line))
        return ledger


def ledgers(home: Path) -> list[Ledger]:
    """All that lie here, the one that was written last first; files that are none are passed over."""
    found = []
    for path in (home / _FOLDER).glob("*.jsonl"):
        with contextlib.suppress(PlanError, KeyError, TypeError, OSError):
            if (ledger := Ledger.read(home, path.stem)) is not None:
                found.append((path.stat().st_mtime_ns, ledger))
    return [ledger for _, ledger in sorted(found, key=lambda pair: pair[0], reverse=True)]


def new_id() -> str:
    return secrets.token_hex(6)


def path_of(home: Path, backtest_id: str) -> Path:
    """Where a backtest's ledger lies. Raises PlanError for a name that would be a path."""
    if not re.fullmatch(r"[\w.-]{1,64}", backtest_id) or backtest_id.startswith("."):
        raise PlanError(f"a backtest's id is made of letters, digits, - and _, not {backtest_id!r}")
    return home / _FOLDER / f"{backtest_id}.jsonl"


def plain_rules(rules: tuple[Rule, ...]) -> tuple[tuple[str, str, Any], ...] | None:
    """The rules as JSON can hold them; None where it can't hold all of them as they are."""
    told = tuple((rule.verb, rule.pattern, rule.value) for rule in rules)
    try:
        again = json.loads(json.dumps(told))
    except (TypeError, ValueError):
        return None
    return told if [list(rule) for rule in told] == again else None


def _append(path: Path, told: Mapping[str, Any]) -> None:
    # In one write, so that two processes that resume the same one by mistake don't mix their lines.
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(told).encode() + b"\n")


def _read(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
