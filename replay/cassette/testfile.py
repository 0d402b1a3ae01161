"""A test that makes a recorded run again: the text of its module. Pure.

It holds what the run gave, as Python, so that a reviewer sees what is claimed; where that can't be written down it is
compared with the cassette's.
"""

from __future__ import annotations

import ast
import keyword
import pprint
import re
from typing import Any

from replay.compare import compare
from replay.errors import NotReplayable
from replay.record import Record
from tracer.codec import Yielded
from tracer.model import Failure, Step, Trace

#: Characters of a result that is written into the test.
_MOST = 2_000
_WIDTH = 110
_HEAD = '''"""{said}, as trace {trace_id} recorded it.

Made by playhead export --format pytest; yours to change. When the workflow is meant to behave otherwise:
pytest {file} --update
"""

from __future__ import annotations

import pytest
'''


def name_of(trace: Trace) -> str:
    """What the test and its files are called: the workflow, and the beginning of what its id ends with."""
    word = re.sub(r"\W+", "_", trace.summary.workflow).strip("_").lower() or "workflow"
    name = f"{word}_{trace.trace_id[-8:]}"
    return name if not name[0].isdigit() and not keyword.iskeyword(name) else f"w_{name}"


def module_text(record: Record, *, file: str, cassette: str) -> str:
    """The text. ``cassette`` is its path from there. Raises NotReplayable where the run can't be made again."""
    trace = record.trace
    root = trace.root
    if root is None or not record.ended(root):
        raise NotReplayable(
            f"trace {trace.trace_id[:16]} was cut off, or waits for an answer: it gave nothing that a test could claim"
        )
    if trace.entry is None or "<locals>" in trace.entry.qualname:
        raise NotReplayable(
            f"{trace.summary.workflow} was defined inside another function, and a test can't import it: move it to "
            "the top of its module"
        )
    said = f"{trace.entry.qualname} {'gives' if root.outcome == 'ok' else 'raises'} what it did"
    head = _HEAD.format(said=said, trace_id=trace.trace_id, file=file)
    body = _claim(record, root) if root.outcome == "ok" else _claim_of_failure(root.failure)
    function = f"def test_{name_of(trace)}(playhead):\n" + "".join(f"    {line}\n" for line in body)
    return f'{head}\n\n@pytest.mark.playhead(cassette="{cassette}")\n{function}'


def _claim(record: Record, root: Step) -> list[str]:
    if root.output is None or not root.output.exact:
        return ["playhead.call()  # what it gave was not kept whole, and can't be compared"]
    result = record.result(root)
    if result.culprit is not None:  # of a class that is not imported here; it will be where the workflow is
        return ["playhead.check()"]
    value = list(result.value.items) if isinstance(result.value, Yielded) else result.value
    literal = _literal(value)
    if literal is None:
        is_plain = _are_equal(result.value, record.result(root).value)
        return ["assert playhead.call() == playhead.output"] if is_plain else ["playhead.check()"]
    if "\n" not in literal and len(literal) < _WIDTH - 30:
        equal = "is" if value is None or isinstance(value, bool) else "=="
        return [f"assert playhead.call() {equal} {literal}"]
    return [f"expected = {literal}".replace("\n", "\n    "), "assert playhead.call() == expected"]


def _claim_of_failure(failure: Failure | None) -> list[str]:
    lines = ["with pytest.raises(BaseException) as raised:", "    playhead.call()"]
    if failure is None:
        return lines
    lines.append(f"assert type(raised.value).__name__ == {failure.type.rpartition('.')[2]!r}")
    # What was taken out of the record is in the message again when it is raised.
    if "[redacted" not in failure.message:
        lines.append(f"assert str(raised.value) == {failure.message!r}")
    return lines


def _literal(value: Any) -> str | None:
    """The value as Python, where Python reads the very same from it, and it is not too long to be read."""
    text = pprint.pformat(value, width=_WIDTH - 15, sort_dicts=False)
    if len(text) > _MOST:
        return None
    try:
        again = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if not compare(value, again) else None


def _are_equal(one: Any, other: Any) -> bool:
    """Whether ``==`` says so of a value and its copy; that of an array does not, and an exception equals no other."""
    try:
        return (one == other) is True
    except Exception:  # noqa: BLE001 - a class's own __eq__ may fail
        return False
