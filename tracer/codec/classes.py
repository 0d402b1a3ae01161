"""Classes by name, and plain state of instances: read and written without running a line of the class's own code."""

from __future__ import annotations

import builtins
import collections
import dataclasses
import enum
import sys
from types import MemberDescriptorType, ModuleType
from typing import Any, Callable, Mapping, NamedTuple
from weakref import WeakKeyDictionary

from tracer.codec.tags import Tag

MISSING: Any = object()
#: The builtin classes whose subclasses can be rebuilt, most derived first.
BASES: tuple[type, ...] = (
    collections.OrderedDict,
    collections.defaultdict,
    collections.deque,
    str,
    int,
    float,
    complex,
    bytes,
    bytearray,
    tuple,
    list,
    dict,
    set,
    frozenset,
)
#: Attributes of builtin exceptions that live outside of ``args`` and of ``__dict__``. All of them take any object.
ERROR_MEMBERS: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg", "name", "path"),
    SyntaxError: ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
    StopIteration: ("value",),
    SystemExit: ("code",),
    NameError: ("name",),
    AttributeError: ("name",),
}

# Past any __getattribute__: a lazily loaded module imports itself when it is asked for anything.
_module_namespace: Callable[[Any], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
_class_namespace: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__


class Kind(NamedTuple):
    """How instances of a class are kept: the tag, the names of its fields, and the builtin class it stands on."""

    tag: Tag
    names: tuple[str, ...] = ()
    base: type = object


_kinds: WeakKeyDictionary[type, Kind | None] = WeakKeyDictionary()


def name_of(cls: type) -> str:
    """``module:qualname``, as text that can always be written."""
    # multiprocessing, and a replay, load the main module again under another name; its classes keep theirs.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    name = f"{module}:{cls.__qualname__}"
    return name.encode("utf-8", "backslashreplace").decode()


def readable(name: str) -> str:
    """``module.Class``, and just ``Class`` for a builtin one."""
    return name.removeprefix("builtins:").replace(":", ".", 1)


def find_class(name: str) -> type | None:
    """The imported class of that name, or None. Looks into the namespaces themselves: a module's or a class's own
    ``__getattr__`` is never asked, because it may import."""
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if not issubclass(type(module), ModuleType):
        return None
    namespace: Mapping[str, Any] = _module_namespace(module)
    found: Any = None
    for part in qualname.split("."):
        found = namespace.get(part)
        if not issubclass(type(found), type):
            return None
        namespace = _class_namespace(found)
    return found  # type: ignore[no-any-return]


def is_findable(cls: type) -> bool:
    return find_class(name_of(cls)) is cls


def static(cls: type, name: str) -> Any:
    """A class attribute as it is stored, without binding it; MISSING where there is none."""
    for owner in cls.__mro__:
        namespace = _class_namespace(owner)
        if name in namespace:
            return namespace[name]
    return MISSING


def kind_of(cls: type) -> Kind | None:
    """How instances of a user's class are kept, or None where they are no plain data."""
    try:
        return _kinds[cls]
    except KeyError:
        kind = _kinds[cls] = _find_kind(cls)
        return kind


def _find_kind(cls: type) -> Kind | None:
    if static(cls, "__del__") is not MISSING:
        return None  # rebuilding one would run its finaliser later
    if issubclass(cls, enum.Enum):
        return Kind(Tag.ENUM)
    if issubclass(cls, BaseException):
        base = next(owner for owner in cls.__mro__ if _is_builtin(owner))
        return _if_buildable(cls, Kind(Tag.EXCEPTION, _slots_of(cls), base))
    if issubclass(cls, tuple) and isinstance(fields := static(cls, "_fields"), tuple) and not static_dict(cls):
        return _if_buildable(cls, Kind(Tag.NAMED_TUPLE, fields, tuple))
    for base in BASES:
        if issubclass(cls, base):
            return _if_buildable(cls, Kind(Tag.SUBCLASS, _slots_of(cls), base))
    return _find_record(cls)


def _find_record(cls: type) -> Kind | None:
    if isinstance(static(cls, "__dataclass_fields__"), dict):
        kind = Kind(Tag.DATACLASS, tuple(field.name for field in dataclasses.fields(cls)))
    elif (attributes := static(cls, "__attrs_attrs__")) is not MISSING:
        kind = Kind(Tag.ATTRS, tuple(attribute.name for attribute in attributes))
    elif any(owner.__module__ == "pydantic.main" and owner.__name__ == "BaseModel" for owner in cls.__mro__[1:]):
        kind = Kind(Tag.PYDANTIC, tuple(static(cls, "__pydantic_fields__")))
    else:
        return None
    if any(_is_computed(static(cls, name)) for name in kind.names):
        return None  # the field's value lives elsewhere, behind the class's own code
    return _if_buildable(cls, kind)


def _if_buildable(cls: type, kind: Kind) -> Kind | None:
    try:
        make_empty(cls, kind)
    except Exception:  # noqa: BLE001  # a C layout of its own, an abstract class: all of them mean no
        return None
    return kind


def make_empty(cls: type, kind: Kind, *values: Any) -> Any:
    """A new instance through the builtin class below it; no ``__new__`` or ``__init__`` of the class itself is run."""
    if issubclass(cls, BaseExceptionGroup) and not values:
        values = ("", [Exception()] if issubclass(cls, Exception) else [BaseException()])
    return kind.base.__new__(cls, *values)


def _is_builtin(cls: type) -> bool:
    return vars(builtins).get(cls.__name__) is cls


def static_dict(cls: type) -> bool:
    """Whether instances have a ``__dict__``."""
    return any("__dict__" in _class_namespace(owner) for owner in cls.__mro__)


def _slots_of(cls: type) -> tuple[str, ...]:
    return tuple(
        name
        for owner in cls.__mro__
        if not _is_builtin(owner)
        for name, value in _class_namespace(owner).items()
        if type(value) is MemberDescriptorType and owner not in BASES
    )


def _is_computed(attribute: Any) -> bool:
    return hasattr(type(attribute), "__set__") and type(attribute) is not MemberDescriptorType


def namespace_of(instance: Any) -> dict[str, Any]:
    """The instance's own ``__dict__``; an empty one where it has none."""
    try:
        found = object.__getattribute__(instance, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def read(instance: Any, name: str) -> Any:
    """What is stored under that name in the instance; MISSING where nothing is."""
    attribute = static(type(instance), name)
    if type(attribute) is MemberDescriptorType:
        try:
            return attribute.__get__(instance)
        except AttributeError:
            return MISSING
    return namespace_of(instance).get(name, MISSING)


def write(instance: Any, name: str, value: Any) -> None:
    """Store a value under that name. Raises TypeError where the class's own code would stand in between."""
    attribute = static(type(instance), name)
    if type(attribute) is MemberDescriptorType:
        attribute.__set__(instance, value)
    elif static_dict(type(instance)) and is_settable(attribute):
        object.__getattribute__(instance, "__dict__")[name] = value
    else:
        raise TypeError(f"{name} can't be stored")


def is_settable(attribute: Any) -> bool:
    """Whether an instance may hold a value of its own over this class attribute: over a constant, never a method."""
    return attribute is MISSING or not (callable(attribute) or hasattr(type(attribute), "__get__"))
