"""Roles in a TOML file: a table for each role, read again when the file is another one, changed table by table.

    [draft]
    production = "gpt-4o"
    canary = "gpt-4o-mini"
    share = 10

Changes made by command or code stand in a file beside it, ``roles.toml.history``, one line of JSON each. What somebody
types into the file is in force at once, and is no change in that history: a file has its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import threading
import tomllib
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from router.errors import RegistryError
from router.forks import tell_of_forks
from router.registry.entry import Change, Entry, Role
from tracer.guard import report
from tracer.locks import alone

_State = tuple[int, int, int]
#: A table's header: ``[draft]``, ``["draft"]``, ``[draft.canary]``.
_HEADER = re.compile(r"""^\[\s*["']?(?P<name>[\w.-]*?)["']?\s*(?:\.\s*[\w"'.-]+\s*)?\]""")


class FileRoles:
    """The roles of one file. Any thread may use it, and any number of processes may have the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Why the file as it is now can't be read; None where it can. The last one that could is in force.
        self.problem: str | None = None
        self._state: _State | None = None
        self._roles: dict[str, Role] = {}
        self._has_read = False
        self._lock = threading.Lock()
        tell_of_forks(self)

    def forked(self) -> None:
        self._lock = threading.Lock()

    @property
    def place(self) -> str:
        return str(self.path)

    def current(self) -> Mapping[str, Role]:
        """The roles in force: of the file as it is now, if that is readable. RegistryError where it never was."""
        state = self._look()
        if state != self._state or not self._has_read:
            with self._lock:
                self._read(state)
        if not self._has_read:
            raise RegistryError(self.problem or f"{self.path} can't be read")
        return self._roles

    def entries(self) -> dict[str, Entry]:
        """The roles with their changes. Raises RegistryError where the file can't be read as it is now."""
        roles = dict(self.current())
        if self.problem is not None:
            raise RegistryError(self.problem)
        changes = self._changes()
        return {name: Entry(role, tuple(changes.get(name, ()))) for name, role in roles.items()}

    def change(self, name: str, make: Callable[[Entry | None], Change]) -> Change:
        """Put a role as ``make`` has it of what it is now; nobody else changes the file meanwhile."""
        with self._alone():
            entries = self.entries() if self.path.exists() else {}
            change = make(entries.get(name))
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            written = with_role(text, name, change.after)
            roles = {known: entry.role for known, entry in entries.items()} | {name: change.after}
            if _roles_in(written) != roles:
                raise RegistryError(
                    f"[{name}] can't be changed in {self.path} without harm to the rest: edit it by hand"
                )
            self._write(written)
            with self._history.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"role": name, **change.as_plain()}, ensure_ascii=False) + "\n")
        return change

    @property
    def _history(self) -> Path:
        return self.path.with_name(f"{self.path.name}.history")

    def _look(self) -> _State | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self, state: _State | None) -> None:
        if state == self._state and self._has_read:
            return
        # looked at before it is read: a change in between is found at the next look
        self._state = state
        try:
            self._roles = _roles_in(self.path.read_text(encoding="utf-8"))
            self._has_read, self.problem = True, None
        except FileNotFoundError:
            self.problem = f"there is no {self.path}; make it with: playhead roles set ROLE --production MODEL --file"
        except (OSError, ValueError, RegistryError) as error:
            self.problem = f"{self.path} can't be read: {error}"
        if self.problem is not None and self._has_read:
            report(f"read an edit of {self.path.name}; the roles before it stay in force", self.problem)

    def _changes(self) -> dict[str, list[Change]]:
        found: dict[str, list[Change]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._history.read_text(encoding="utf-8").splitlines():
                try:
                    plain = json.loads(line)
                    found.setdefault(plain["role"], []).append(Change.of(plain))
                except (ValueError, LookupError, TypeError) as error:
                    raise RegistryError(f"{self._history} has a line that is no change of a role: {error}") from None
        return found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.path.with_name(f"{self.path.name}.lock")):
            yield

    def _write(self, text: str) -> None:
        """In one go: a reader finds the old file or the new one."""
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
        number, made = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as written:
                written.write(text)
            Path(made).chmod(mode)
            Path(made).replace(self.path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise


def with_role(text: str, name: str, role: Role) -> str:
    """The text of a file with this role's table in the place of the one it has, or at the end. Pure."""
    kept: list[str] = []
    at: int | None = None
    inside = False
    for line in text.removesuffix("\n").split("\n") if text else ():
        header = _HEADER.match(line.strip())
        if header or line.startswith("["):
            inside = header is not None and (header["name"] == name or header["name"].startswith(f"{name}."))
            if inside and at is None:
                at = len(kept)
        if not inside:
            kept.append(line)
    table = [f"[{_key(name)}]", *(f"{key} = {_toml(value)}" for key, value in role.as_plain().items())]
    if at is None:
        before, behind = kept, []
        while before and not before[-1].strip():
            before.pop()
    else:
        before, behind = kept[:at], kept[at:]
    parts = [*before, *([""] if before and before[-1].strip() else []), *table, *([""] if behind else []), *behind]
    return "\n".join(parts) + "\n"


def _roles_in(text: str) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for name, plain in tomllib.loads(text).items():
        try:
            roles[name] = Role.of(plain)
        except RegistryError as error:
            raise RegistryError(f"[{name}] {error}") from None
    return roles


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """As JSON has it, but for the one control character that JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return _quoted(value)
    raise RegistryError(f"a setting is a text, a number, a list or a table, not {value!r}")
