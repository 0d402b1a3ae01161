"""Which traces go, and why; pure.

A trace, its replays, the runs that went on from it and theirs are one story. It goes as a whole or stays as a whole:
its age is that of its youngest trace, it is worth what any of them is worth, and one that can't go holds all of them.
Where a limit is passed, ordinary stories go first, then those kept for a reason, the oldest first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Iterable, Iterator

from tracer.retention.rules import DAY_NS, Limits, Retention, Rule
from tracer.subjects import Reason, Subject


@dataclass(frozen=True, slots=True)
class Going:
    """A trace that goes, and why in a few words."""

    subject: Subject
    why: str


@dataclass(frozen=True, slots=True)
class Story:
    """Traces that stay together, the oldest first."""

    subjects: tuple[Subject, ...]
    reasons: frozenset[Reason]

    @property
    def workflow(self) -> str:
        return self.subjects[0].workflow

    @property
    def youngest_ns(self) -> int:
        return self.subjects[-1].started_ns

    @property
    def is_held(self) -> bool:
        return any(subject.held for subject in self.subjects)

    @property
    def size(self) -> int:
        return sum(subject.size for subject in self.subjects)

    @property
    def worth(self) -> tuple[bool, int, str]:
        """The least goes first."""
        return bool(self.reasons), self.youngest_ns, self.subjects[0].trace_id


def going(subjects: Iterable[Subject], retention: Retention, *, now_ns: int, only: str = "*") -> list[Going]:
    """The traces that go by these rules, the oldest first; of stories whose workflow ``only`` fits. Ages hold first,
    then the limits of each workflow, then those of the store."""
    staying: list[Story] = []
    found: list[Going] = []
    for story in stories(subjects):
        why = _too_old(story, retention.rule_for(story.workflow), now_ns)
        if why and not story.is_held and fnmatchcase(story.workflow, only):
            found += (Going(subject, why) for subject in story.subjects)
        else:
            staying.append(story)
    of_workflows: dict[str, list[Story]] = defaultdict(list)
    for story in staying:
        of_workflows[story.workflow].append(story)
    staying = []
    for workflow, mine in of_workflows.items():
        staying += _within(mine, retention.rule_for(workflow).limits, f" of {workflow}", only, found)
    _within(staying, retention.limits, "", only, found)
    return sorted(found, key=lambda each: (each.subject.started_ns, each.subject.trace_id))


def stories(subjects: Iterable[Subject]) -> Iterator[Story]:
    """Each story once. What replays a trace that is gone is still a replay, and a sibling of its other replays."""
    above: dict[str, str] = {}

    def root_of(name: str) -> str:
        while (parent := above.get(name, name)) != name:
            above[name] = above.get(parent, parent)
            name = parent
        return name

    every = list(subjects)
    for subject in every:
        if subject.origin is not None:
            above[root_of(subject.trace_id)] = root_of(subject.origin)
    members: dict[str, list[Subject]] = defaultdict(list)
    for subject in every:
        members[root_of(subject.trace_id)].append(subject)
    for mine in members.values():
        mine.sort(key=lambda subject: (subject.started_ns, subject.trace_id))
        yield Story(tuple(mine), frozenset[Reason]().union(*(subject.reasons for subject in mine)))


def _too_old(story: Story, rule: Rule, now_ns: int) -> str:
    days = rule.days_for(story.reasons)
    if days is None or now_ns - story.youngest_ns <= days * DAY_NS:
        return ""
    return f"older than {days:g} days"


def _within(mine: list[Story], limits: Limits, of: str, only: str, found: list[Going]) -> list[Story]:
    """What of these stays within the limits; what does not is added to ``found``."""
    traces, size = sum(len(story.subjects) for story in mine), sum(story.size for story in mine)
    staying: list[Story] = []
    for story in sorted(mine, key=lambda story: story.worth):
        why = ""
        if not story.is_held and fnmatchcase(story.workflow, only):
            why = _beyond(traces, size, limits, of)
        if not why:
            staying.append(story)
            continue
        found += (Going(subject, why) for subject in story.subjects)
        traces, size = traces - len(story.subjects), size - story.size
    return staying


def _beyond(traces: int, size: int, limits: Limits, of: str) -> str:
    if limits.max_traces is not None and traces > limits.max_traces:
        return f"more than {limits.max_traces:,} traces{of}"
    if limits.max_size is not None and size > limits.max_size:
        return f"more than {limits.max_size:,} bytes{of}"
    return ""
