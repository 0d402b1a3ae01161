"""What is known of a step before it is called: everything but its values. Made once, read at every call."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal, Mapping

#: How a level of capture is written in code and in settings.
CaptureName = Literal["full", "metadata", "off"]


#: The tag that says which item a step is about, where it was declared with a key.
KEY_TAG = "key"


class Capture(IntEnum):
    """How much of a step is recorded. Of several that apply, the lowest holds."""

    #: Nothing: the step runs as if it were not decorated, and what runs inside it belongs to the step around it.
    OFF = 0
    #: That it ran, when, and how it ended; no inputs, no outputs, no error messages, neither of it nor inside it.
    METADATA = 1
    FULL = 2

    @classmethod
    def of(cls, given: bool | str) -> Capture:  # noqa: FBT001 - what the decorators' capture= takes
        """From ``True``, ``False`` (metadata), or a level's name. Raises ValueError."""
        if isinstance(given, bool):
            return cls.FULL if given else cls.METADATA
        try:
            return cls[given.upper()]
        except (KeyError, AttributeError):
            raise ValueError(f"capture is {given!r}; it takes full, metadata or off") from None


class Declared:
    """A step's name, kind, and what was said of it where it was declared."""

    #: A ``with span(...)`` block: it can't be skipped, so a replay can only run it.
    block = False
    #: Whether each call says which item it is about (``@step(key=...)``).
    keyed = False

    def __init__(  # noqa: PLR0913 - each is one thing to say about a step
        self,
        name: str,
        kind: str,
        *,
        capture: Capture = Capture.FULL,
        hidden: frozenset[str] = frozenset(),
        effect: bool = False,
        stand_in: tuple[Any, ...] = (),
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        #: An effect is never left out: a replay that does not know of it could not keep it from happening again.
        self.capture = max(capture, Capture.METADATA) if effect else capture
        #: The inputs that are not to be stored, by name.
        self.hidden = hidden
        self.effect = effect
        #: ``(value_or_function,)`` where ``@effect(stand_in=...)`` declares one.
        self.stand_in = stand_in
        self.tags = dict(tags or {})

    @property
    def fingerprint(self) -> str | None:
        """The digest of the step's code; None where there is no function to take it of."""
        return None
