"""What can go wrong while recording or reading. None of these is ever raised into a user's workflow.

TracerError
├── StoreError
│   ├── StoreUnreachable     the database can't be opened, or a directory can't be written
│   ├── StoreNewer           a newer playhead wrote this store
│   ├── TraceNotFound        no trace has that id or prefix
│   └── AmbiguousTrace       a prefix that several traces share
├── CodecError               bytes that are no payload, or a value that can't be one
├── UnknownModel             no target of that name in the catalogue
└── ConfigError              a setting that can't be what it was set to
"""

from __future__ import annotations


class TracerError(Exception):
    """The root of this tree. Its text is one line that says what to do."""

    #: What the command line ends with: 2 is wrong use.
    exit_code = 2


class StoreError(TracerError):
    """Something about the store."""


class StoreUnreachable(StoreError):
    """The database can't be opened, or its directory can't be written."""

    exit_code = 4


class StoreNewer(StoreError):
    """The store's schema is newer than this playhead: upgrade playhead, don't downgrade the store."""


class TraceNotFound(StoreError):
    """No trace has that id, or that prefix."""


class AmbiguousTrace(StoreError):
    """Several traces share that prefix."""


class CodecError(TracerError):
    """Bytes that are no payload of ours."""


class UnknownModel(TracerError):
    """No target of that name in the catalogue."""

    def __init__(self, name: str, *, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        names = ", ".join(sorted(known)) or "none is configured: call tracer.configure(models=...)"
        super().__init__(f"no model named {name!r} in the catalogue (known: {names})")


class ConfigError(TracerError):
    """A setting that can't be what it was set to."""
