"""What can go wrong with a replay. A workflow that raises is not among them (``Replay.error`` holds that), nor is a
replay that stops at a divergence (``Replay.stopped``).

ReplayError
├── PlanError          a rule that can't be: malformed, for a step that isn't there, for a model that isn't
├── EntryNotFound      the workflow's function can't be imported any more
└── NotReplayable      the record can't be run again: an input that could not be kept
"""

from __future__ import annotations


class ReplayError(Exception):
    """The root of this tree. Its text is one line that says what to do."""

    #: What the command line ends with: 2 is wrong use.
    exit_code = 2


class PlanError(ReplayError):
    """A rule that can't be: malformed, or about something that isn't there."""


class EntryNotFound(ReplayError):
    """The workflow's function can't be found or imported any more."""


class NotReplayable(ReplayError):
    """The record can't be run again."""
