"""How many tokens a text has. Offline: the vocabulary comes in an installed wheel, and nothing is ever fetched.

The tokenizer is Mistral's "tekken": its vocabulary is a file of the wheel mistral-common, and tiktoken merges by it
(the extra ``playhead[documents]`` brings both). For the models that use it the figure is exact; for others it is an
estimate, and says so (docs/documents.md has how far off). A tokenizer of your own is made known by
``tokenizer(pattern, encode)``.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from base64 import b64decode
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Protocol, Sequence

from router.errors import MissingExtra, PromptTooLong

#: Where the vocabulary lies: a file of this package, which is found and never imported (that would load pydantic, too).
_PACKAGE, _FILE = "mistral_common", "data/tekken_240911.json"
_BUNDLED = "tekken"
#: Of these models mistral-common 1.13 says itself that they use it.
_TEKKEN = ("ministral-8b-2410", "open-mistral-nemo*", "mistral-small-2409", "pixtral-12b*")
#: What a provider adds around each message for its role, and around them all for the answer to begin: close to what
#: most chat templates add, exact for none.
_PER_MESSAGE = 4
_PER_PROMPT = 3

#: The tokens of a text; only how many there are is looked at.
Encode = Callable[[str], Sequence[int]]

#: Tokenizers by pattern of model name; the last one made known comes first. Replaced as a whole, so no lock is needed.
_known: tuple[tuple[str, Encode, str], ...] = ()


class Turn(Protocol):
    """A message in normal form, as tracer.messages has it."""

    @property
    def content(self) -> str: ...


Messages = Iterable[Mapping[str, Any] | Turn]


@dataclass(frozen=True, slots=True)
class Count:
    """So many tokens. ``exact`` is False where another tokenizer than the model's own counted, or where messages have
    what a provider puts around them; ``by`` names the tokenizer."""

    tokens: int
    exact: bool
    by: str

    def __str__(self) -> str:
        return str(self.tokens) if self.exact else f"about {self.tokens}"


def tokenizer(pattern: str, encode: Encode, *, name: str | None = None) -> None:
    """Count the tokens of all models whose name fits ``pattern`` (``gpt-4o*``) exactly, with this ``encode``.

    tokenizer("gpt-4o*", tiktoken.get_encoding("o200k_base").encode_ordinary)
    """
    global _known  # noqa: PLW0603 - what tokenizers there are belongs to the process, as the catalogue of models does
    called = name or str(getattr(encode, "__qualname__", type(encode).__name__))
    _known = ((pattern, encode, called), *(each for each in _known if each[0] != pattern))


def counted(said: str | Messages, model: str | None = None) -> Count:
    """The tokens of a text, or of messages (dicts with ``content``, or messages in normal form) with what is put around
    each. Of parts that are no text (images) nothing is counted. Raises MissingExtra where tiktoken is not installed.
    """
    encode, by, exact = _for(model)
    if isinstance(said, str):
        return Count(len(encode(said)), exact, by)
    texts = texts_of(said)
    total = sum(len(encode(text)) for text in texts) + _PER_MESSAGE * len(texts) + _PER_PROMPT
    return Count(total, exact=False, by=by)


def count(said: str | Messages, model: str | None = None) -> int:
    """``counted``, as the bare number."""
    return counted(said, model).tokens


def surely_within(said: str | Messages, limit: int) -> bool:
    """Whether there are surely at most ``limit`` tokens: a token stands for at least one byte, so nothing is counted,
    and no tokenizer is needed. False means nothing."""
    if isinstance(said, str):
        return len(said) * 4 <= limit or len(said.encode(errors="surrogatepass")) <= limit
    texts = texts_of(said)
    around = _PER_MESSAGE * len(texts) + _PER_PROMPT
    return sum(len(text.encode(errors="surrogatepass")) for text in texts) + around <= limit


class Window(Protocol):
    """What is asked of a target here: its name, and ``context_tokens`` where its window is known."""

    @property
    def name(self) -> str: ...


def fits(said: str | Messages, target: Window, *, answer: int = 0) -> bool:
    """Whether a prompt and an answer of ``answer`` tokens fit into the target's ``context_tokens``. True where the
    target names none. An estimate decides as if it were exact."""
    return _over(said, target, answer) is None


def refuse_too_long(said: str | Messages, target: Window, *, answer: int = 0) -> None:
    """Raise PromptTooLong where a prompt does not fit (``fits``): to be called before anything is sent."""
    over = _over(said, target, answer)
    if over is not None:
        raise PromptTooLong(*over, target.name)


def _over(said: str | Messages, target: Window, answer: int) -> tuple[Count, int] | None:
    window: int | None = getattr(target, "context_tokens", None)
    if window is None:
        return None
    said = said if isinstance(said, str) else list(said)
    if surely_within(said, window - answer):
        return None
    found = counted(said, getattr(target, "asked_as", None) or target.name)
    return (found, window - answer) if found.tokens > window - answer else None


def texts_of(messages: Messages) -> list[str]:
    """The text of each message."""
    return [text_of(turn.get("content") if isinstance(turn, Mapping) else turn.content) for turn in messages]


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a list of parts of which those with a ``text`` count, or None."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    told = (part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | Mapping))
    return "\n".join(text for text in told if isinstance(text, str))


def _for(model: str | None) -> tuple[Encode, str, bool]:
    for pattern, encode, name in _known if model is not None else ():
        if fnmatchcase(model or "", pattern):
            return encode, name, True
    return _bundled(), _BUNDLED, model is not None and any(fnmatchcase(model, pattern) for pattern in _TEKKEN)


@functools.cache
def _bundled() -> Encode:
    """Loaded when something is first counted."""
    try:
        import tiktoken  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("counting tokens", "tiktoken", "documents") from None
    told = json.loads(_vocabulary().read_bytes())
    settings = told["config"]
    # As many as the models have beside their control tokens, which no text is made of.
    kept = settings["default_vocab_size"] - settings["default_num_special_tokens"]
    ranks = {b64decode(token["token_bytes"]): token["rank"] for token in told["vocab"][:kept]}
    encoding = tiktoken.Encoding(_BUNDLED, pat_str=settings["pattern"], mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def _vocabulary() -> Path:
    found = importlib.util.find_spec(_PACKAGE) if sys.modules.get(_PACKAGE, ...) is not None else None
    for folder in () if found is None else found.submodule_search_locations or ():
        if (file := Path(folder) / _FILE).is_file():
            return file
    raise MissingExtra("counting tokens", "mistral-common", "documents")
