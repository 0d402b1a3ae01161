"""Containers and instances of classes, to and from the elements of an extension's body.

Instances are rebuilt from the builtin class below them, attribute by attribute: ``__init__``, ``__new__``,
``__setstate__``, properties and validators of the class itself are never run, whatever the bytes say. All that decoding
can reach of a class's own code is its ``__hash__`` and ``__eq__``, where an instance is a key or in a set.
"""

from __future__ import annotations

import collections
import enum
import functools
from types import SimpleNamespace
from typing import Any, Callable

from tracer.codec import classes
from tracer.codec.atoms import Unkept
from tracer.codec.classes import ERROR_MEMBERS, MISSING, Kind
from tracer.codec.tags import Tag
from tracer.codec.values import Lossy

_FACTORIES = (
    *(list, dict, set, int, float, str, tuple, bytes, bool, frozenset),
    *(collections.OrderedDict, collections.deque, collections.Counter),
)
_SCALARS = (bool, int, float, str)


def pairs_of(mapping: Any) -> list[Any]:
    """Keys and values in turn. Raises TypeError for what is no plain mapping."""
    return [part for pair in dict.items(mapping) for part in pair]


def _write_default_dict(value: collections.defaultdict[Any, Any]) -> list[Any]:
    factory = value.default_factory
    kept = factory if factory is None or factory in _FACTORIES else lossy_of(factory)
    return [kept, *pairs_of(value)]


#: By exact type; the elements of a set are sorted by the encoder, when it has their bytes.
WRITE: dict[type, tuple[Tag, Callable[[Any], list[Any]]]] = {
    tuple: (Tag.TUPLE, list),
    set: (Tag.SET, list),
    frozenset: (Tag.FROZENSET, list),
    dict: (Tag.DICT, pairs_of),
    collections.deque: (Tag.DEQUE, lambda value: [value.maxlen, *value]),
    collections.OrderedDict: (Tag.ORDERED_DICT, lambda value: [part for pair in value.items() for part in pair]),
    collections.defaultdict: (Tag.DEFAULT_DICT, _write_default_dict),
    collections.Counter: (Tag.COUNTER, pairs_of),
    SimpleNamespace: (Tag.NAMESPACE, lambda value: [dict(vars(value))]),
}


def _pairs(parts: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    return list(zip(parts[::2], parts[1::2], strict=True))


def _read_default_dict(factory: Any, *parts: Any) -> Any:
    return collections.defaultdict(factory if factory in _FACTORIES else None, _pairs(parts))


def _read_counter(*parts: Any) -> Any:
    counter: collections.Counter[Any] = collections.Counter()
    dict.update(counter, _pairs(parts))
    return counter


def _read_lossy(cls: str, text: str) -> Lossy:
    return Lossy(str.__str__(cls), str.__str__(text))


READ: dict[int, Callable[..., Any]] = {
    Tag.TUPLE: lambda *parts: parts,
    Tag.SET: lambda *parts: set(parts),
    Tag.FROZENSET: lambda *parts: frozenset(parts),
    Tag.DICT: lambda *parts: dict(_pairs(parts)),
    Tag.DEQUE: lambda maxlen, *parts: collections.deque(parts, maxlen),
    Tag.ORDERED_DICT: lambda *parts: collections.OrderedDict(_pairs(parts)),
    Tag.DEFAULT_DICT: _read_default_dict,
    Tag.COUNTER: _read_counter,
    Tag.NAMESPACE: lambda fields: SimpleNamespace(**fields),
    Tag.LOSSY: _read_lossy,
}


def lossy_of(value: Any) -> Lossy:
    return Lossy(classes.readable(classes.name_of(type(value))), text_of(value))


def text_of(value: Any) -> str:
    """The repr, bounded to 2,000 characters, without memory addresses. Never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # a user's __repr__ may do anything
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    text = _without_addresses(text[:4_000]).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 2_000 else f"{text[:2_000]}..."


def _without_addresses(text: str) -> str:
    head, *rest = text.split(" at 0x")
    return head + "".join(part.lstrip("0123456789abcdefABCDEF") for part in rest)


def content_of(value: Any, kind: Kind) -> list[Any]:
    """The elements after the class's name. Raises Unkept where the instance holds more than can be restored."""
    return _WRITERS[kind.tag](value, kind)


def _write_record(value: Any, kind: Kind) -> list[Any]:
    cls = type(value)
    fields = {}
    for name in kind.names:
        stored = classes.read(value, name)
        if stored is MISSING:  # a field that was never set reads as the class's own default
            stored = classes.static(cls, name)
            if stored is MISSING or not classes.is_settable(stored):
                raise Unkept
        fields[name] = stored
    return [fields | _extras(value, kind.names)]


def _extras(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """What the instance holds beyond its fields, cached properties left out: they are derived."""
    extras = {}
    for name, stored in classes.namespace_of(value).items():
        attribute = classes.static(type(value), name)
        if name in names or isinstance(attribute, functools.cached_property):
            continue
        if not classes.is_settable(attribute):
            raise Unkept
        extras[name] = stored
    return extras


def _write_model(value: Any, kind: Kind) -> list[Any]:
    namespace = classes.namespace_of(value)
    fields = {name: namespace[name] for name in kind.names if name in namespace}
    extra = classes.read(value, "__pydantic_extra__")
    given = classes.read(value, "__pydantic_fields_set__")
    return [fields, sorted(given), None if extra is MISSING else extra]


def _write_named_tuple(value: Any, kind: Kind) -> list[Any]:
    return [dict(zip(kind.names, tuple.__iter__(value), strict=True))]


def _write_enum(value: enum.Enum, _: Kind) -> list[Any]:
    return [value._name_, value._value_ if type(value._value_) in _SCALARS else None]


def _write_error(value: BaseException, kind: Kind) -> list[Any]:
    fields: dict[str, Any] = {"args": vars(BaseException)["args"].__get__(value)}
    for name in _members_of(kind.base):
        if (member := getattr(value, name, None)) is not None:
            fields[name] = member
    if value.__cause__ is not None:
        fields["__cause__"] = value.__cause__
    if value.__suppress_context__:
        fields["__suppress_context__"] = True
    return [fields | _slots(value, kind) | _extras(value, kind.names)]


def _members_of(base: type) -> tuple[str, ...]:
    return next((names for owner, names in ERROR_MEMBERS.items() if issubclass(base, owner)), ())


def _write_subclass(value: Any, kind: Kind) -> list[Any]:
    return [_as_base(value, kind.base), _slots(value, kind) | _extras(value, kind.names)]


def _slots(value: Any, kind: Kind) -> dict[str, Any]:
    return {name: stored for name in kind.names if (stored := classes.read(value, name)) is not MISSING}


def _as_base(value: Any, base: Any) -> Any:
    """The content as an instance of exactly the builtin class, past every method that the subclass overrides."""
    if base is collections.OrderedDict:
        return base((key, dict.__getitem__(value, key)) for key in base.__iter__(value))
    if base is collections.defaultdict:
        return base(value.default_factory, dict.items(value))
    if base is dict:
        return dict(dict.items(value))
    if base is collections.deque:
        return base(base.__iter__(value), value.maxlen)
    if base in (str, int, float, complex):
        return base.__new__(base, getattr(base, f"__{base.__name__}__")(value))
    return base(base.__iter__(value))


_WRITERS: dict[Tag, Callable[[Any, Kind], list[Any]]] = {
    Tag.DATACLASS: _write_record,
    Tag.ATTRS: _write_record,
    Tag.PYDANTIC: _write_model,
    Tag.NAMED_TUPLE: _write_named_tuple,
    Tag.ENUM: _write_enum,
    Tag.EXCEPTION: _write_error,
    Tag.SUBCLASS: _write_subclass,
}


def rebuild(cls: type, kind: Kind, content: list[Any]) -> Any:
    """The instance that ``content_of`` described. Raises whatever comes where the content does not fit the class."""
    return _READERS[kind.tag](cls, kind, *content)


def _read_record(cls: type, kind: Kind, fields: dict[str, Any]) -> Any:
    if not fields.keys() >= set(kind.names):
        raise TypeError("the class has gained a field since")
    made = classes.make_empty(cls, kind)
    for name, value in fields.items():
        if name in kind.names:
            _write_field(made, name, value)
        else:
            classes.write(made, name, value)
    return made


def _write_field(made: Any, name: str, value: Any) -> None:
    """A field may stand over anything of its class but code that would run; ``kind_of`` has seen to that."""
    namespace = classes.namespace_of(made)
    attribute = classes.static(type(made), name)
    if hasattr(type(attribute), "__set__") or not classes.static_dict(type(made)):
        attribute.__set__(made, value)
    else:
        namespace[name] = value


def _read_model(cls: type, kind: Kind, fields: dict[str, Any], given: list[str], extra: dict[str, Any] | None) -> Any:
    if not set(fields) <= set(kind.names):
        raise TypeError("the model has lost a field since")
    if extra is not None and type(extra) is not dict:
        raise TypeError("no mapping of extra fields")
    made = classes.make_empty(cls, kind)
    object.__setattr__(made, "__dict__", fields)
    object.__setattr__(made, "__pydantic_fields_set__", set(given))
    object.__setattr__(made, "__pydantic_extra__", extra)
    object.__setattr__(made, "__pydantic_private__", _private_defaults(cls))
    return made


def _private_defaults(cls: type) -> dict[str, Any] | None:
    """Private attributes are no part of a recorded value; the plain defaults among them are set again."""
    private = classes.static(cls, "__private_attributes__")
    if not private:
        return None
    defaults = {name: getattr(attribute, "default", MISSING) for name, attribute in private.items()}
    return {name: value for name, value in defaults.items() if value is None or isinstance(value, _SCALARS)}


def _read_named_tuple(cls: type, kind: Kind, fields: dict[str, Any]) -> Any:
    if set(fields) != set(kind.names):
        raise TypeError("the fields have changed since")
    return tuple.__new__(cls, [fields[name] for name in kind.names])


def _read_enum(cls: type, _: Kind, name: str | None, value: Any) -> Any:
    member = classes.static(cls, "_member_map_").get(name)
    if member is not None:
        return member
    if not (issubclass(cls, enum.Flag) and type(cls) is enum.EnumType and type(value) is int):
        raise TypeError("no such member")
    if classes.static(cls, "_missing_") is not classes.static(enum.Flag, "_missing_"):
        raise TypeError("a combination of flags that only the class's own code can make")
    return cls(value)


def _read_error(cls: type, kind: Kind, fields: dict[str, Any]) -> Any:
    args = fields["args"]
    base: Any = kind.base
    made = classes.make_empty(cls, kind, *(args if issubclass(cls, BaseExceptionGroup) else ()))
    if type(made) is not cls or type(args) is not tuple:
        raise TypeError("not that class")
    if issubclass(cls, UnicodeError) and args:
        base.__init__(made, *args)  # it checks the types that its own methods rely on
    errors: Any = BaseException
    errors.args.__set__(made, args)
    if isinstance(cause := fields.get("__cause__"), BaseException):
        errors.__dict__["__cause__"].__set__(made, cause)
    errors.__dict__["__suppress_context__"].__set__(made, bool(fields.get("__suppress_context__")))
    members = _members_of(base)
    for name, value in fields.items():
        if name in members:
            classes.static(base, name).__set__(made, value)
        elif name not in ("args", "__cause__", "__suppress_context__"):
            classes.write(made, name, value)
    return made


def _read_subclass(cls: type, kind: Kind, content: Any, state: dict[str, Any]) -> Any:
    base: Any = kind.base
    if type(content) is not base:
        raise TypeError(f"not a {base.__name__}")
    made = _filled(cls, base, content)
    for name, value in state.items():
        classes.write(made, name, value)
    return made


def _filled(cls: type, base: Any, content: Any) -> Any:
    if base in (str, int, float, complex, bytes, tuple, frozenset):
        return base.__new__(cls, content)
    made = base.__new__(cls)
    if base is collections.deque:
        base.__init__(made, content, content.maxlen)
    elif base is collections.OrderedDict:
        for key, value in content.items():
            base.__setitem__(made, key, value)
    elif base in (list, bytearray):
        base.extend(made, content)
    else:
        if base is collections.defaultdict:
            classes.static(base, "default_factory").__set__(made, content.default_factory)
        (set if base is set else dict).update(made, content)
    return made


_READERS: dict[Tag, Callable[..., Any]] = {
    Tag.DATACLASS: _read_record,
    Tag.ATTRS: _read_record,
    Tag.PYDANTIC: _read_model,
    Tag.NAMED_TUPLE: _read_named_tuple,
    Tag.ENUM: _read_enum,
    Tag.EXCEPTION: _read_error,
    Tag.SUBCLASS: _read_subclass,
}


def readable_content(tag: int, content: list[Any]) -> Any:
    """What an Opaque shows of an instance: its fields, or the builtin value that a subclass holds."""
    if tag == Tag.ENUM:
        return dict(zip(("name", "value"), content, strict=True))
    if tag == Tag.PYDANTIC:
        fields, _, extra = content
        return {**fields, **(extra or {})}
    return content[0]
