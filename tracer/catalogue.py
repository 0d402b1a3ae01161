"""The catalogue: models by name, and what it takes to reach each one.

``configure(models=...)`` fills it, from code or from a file (``tracer.models_file``), usually at the import of a
pipeline's module, so that a replay in a new process finds the same names. A target is an endpoint, a Python callable,
or just another model of the provider that is asked.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Literal, Mapping, Protocol, Self, get_args
from urllib.parse import urlsplit

from tracer.errors import ConfigError, UnknownModel

if TYPE_CHECKING:
    from tracer.messages import ChatAnswer, ChatRequest


@dataclass(frozen=True, slots=True)
class Price:
    """A declared price, in billionths of a US dollar per token. It beats every price table."""

    input_nusd: int = 0
    output_nusd: int = 0


#: For a model that runs on one's own machine: it costs nothing, by declaration.
FREE = Price()


#: What an endpoint speaks.
Speaks = Literal["openai", "anthropic", "same"]
#: The version of Anthropic's API that our translation writes.
_ANTHROPIC_VERSION = "2023-06-01"


class Launcher(Protocol):
    """Makes a local model reachable. ``url`` is known before it is started; starting may take a while."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A callable model. Give ``call`` (a Python function), ``base_url`` (an endpoint, up to ``/v1``), or ``launcher``
    (whose url then is the endpoint). With none of them it is another model of the provider that the code asks, reached
    as that code reaches it.

    ``format`` is what the endpoint speaks: ``openai`` (or anything compatible), ``anthropic``, or ``same`` for whatever
    the code speaks. Between OpenAI's chat and Anthropic's messages calls are translated.

    ``context_tokens`` is how much prompt and answer may be together, ``max_output_tokens`` how long an answer can be:
    what ``router.ask`` holds a call to before it is sent.
    """

    name: str
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    call: Callable[[ChatRequest], ChatAnswer | str] | None = None
    launcher: Launcher | None = None
    price: Price | None = None
    timeout_s: float | None = None
    format: Speaks = "openai"
    context_tokens: int | None = None
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.format not in get_args(Speaks):
            raise ConfigError(f"{self.name}: no format {self.format!r}; there are {', '.join(get_args(Speaks))}")

    @property
    def asked_as(self) -> str:
        """What the endpoint calls this model."""
        return self.model or self.name

    @property
    def url(self) -> str | None:
        return self.launcher.url if self.launcher is not None else self.base_url

    def headers(self) -> dict[str, str]:
        """The credentials of this endpoint, read from the environment at the moment of the call, kept nowhere."""
        key = os.environ.get(self.api_key_env) if self.api_key_env else None
        if self.format == "anthropic":
            return {"anthropic-version": _ANTHROPIC_VERSION, **({"x-api-key": key} if key else {})}
        return {"authorization": f"Bearer {key}"} if key else {}

    @property
    def missing_key(self) -> str | None:
        """The variable of its key, where that is not set."""
        return None if self.api_key_env is None or os.environ.get(self.api_key_env) else self.api_key_env


class Catalogue:
    """Targets by name. Launchers are started at most once, when a live call first needs them, and stopped at exit."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._targets: dict[str, Target] = {}
        self._by_origin: dict[str, Target] = {}
        self._started: list[Launcher] = []
        self._started_in_pid = 0
        # Guards the two tables and the list of started launchers; held while a launcher starts, so that it starts once.
        self._lock = threading.Lock()
        self.add(targets)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The catalogue in a models file; raises ConfigError, which names the place of the mistake."""
        return cls(targets_of(path))

    def add(self, targets: Iterable[Target]) -> None:
        for target in targets:
            self._targets[target.name] = target
            if target.url is not None:
                self._by_origin[_origin(target.url)] = target

    def __iter__(self) -> Iterator[Target]:
        return iter(list(self._targets.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._targets

    def get(self, name: str) -> Target:
        """The target of that name; raises UnknownModel, which lists the names there are."""
        try:
            return self._targets[name]
        except KeyError:
            raise UnknownModel(name, known=tuple(self._targets)) from None

    def price_of(self, model: str | None) -> Price | None:
        """The declared price of a model, by the catalogue's name or by the endpoint's."""
        if model is None:
            return None
        target = self._targets.get(model) or next((t for t in self._targets.values() if t.asked_as == model), None)
        return target.price if target is not None else None

    def is_reachable(self, url: str) -> bool:
        """Whether nothing has to be started before ``url`` is asked."""
        target = self._by_origin.get(_origin(url)) if self._by_origin else None
        return target is None or target.launcher is None or target.launcher in self._started

    def make_reachable(self, url: str) -> None:
        """Start the launcher behind ``url``, if there is one and it does not run yet. Blocks until it answers."""
        if self.is_reachable(url):
            return
        target = self._by_origin[_origin(url)]
        assert target.launcher is not None
        with self._lock:
            if target.launcher not in self._started:
                target.launcher.start()
                if not self._started:
                    atexit.register(self.stop)
                    self._started_in_pid = os.getpid()
                self._started.append(target.launcher)

    def stop(self) -> None:
        """Stop what was started. A forked child that ends leaves its parent's models alone."""
        if self._started_in_pid != os.getpid():
            return
        with self._lock:
            while self._started:
                self._started.pop().stop()


def targets_of(models: str | os.PathLike[str] | Mapping[str, Any] | Iterable[Target]) -> list[Target]:
    """Read ``configure(models=...)``: the path of a models file, Targets, or a mapping of name to Target, callable or
    endpoint URL; the mapping's name is then what the target is called. Raises ConfigError for anything else."""
    if isinstance(models, str | os.PathLike):
        from tracer.models_file import read_models  # noqa: PLC0415 - `import tracer` reads no TOML

        return read_models(os.fspath(models))
    if not isinstance(models, Mapping):
        return [_target(getattr(entry, "name", "?"), entry, of_list=True) for entry in models]
    return [_target(name, entry) for name, entry in models.items()]


def _target(name: str, entry: Any, *, of_list: bool = False) -> Target:
    if isinstance(entry, Target):
        return entry if entry.name == name else replace(entry, name=name, model=entry.asked_as)
    if not of_list and isinstance(entry, str) and urlsplit(entry).netloc:
        return Target(name, base_url=entry)
    if not of_list and callable(entry):
        return Target(name, call=entry)
    accepted = "a Target" if of_list else "a Target, a callable or the URL of an endpoint"
    raise ConfigError(f"models: {name} must be {accepted}, not {entry!r}")


def _origin(url: str) -> str:
    return urlsplit(url).netloc.lower()
