"""Bytes from a store are read by whoever opens it: they may be torn, forged, or made to hurt."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import types
from typing import Any

import ormsgpack
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import THOROUGH, Box, Colour, values
from tracer.codec import CodecError, Opaque, canonical, decode, encode
from tracer.codec.tags import LAYOUTS, Tag

RAN: list[str] = []


class Trap:
    """Whatever of it runs leaves a trace."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        RAN.append("new")
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        RAN.append("init")

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("setattr")

    def __setstate__(self, state: Any) -> None:
        RAN.append("setstate")


@dataclasses.dataclass
class TrapRecord(Trap):
    x: int = 0

    def __post_init__(self) -> None:
        RAN.append("post_init")


class TrapError(Trap, Exception):
    pass


class TrapText(Trap, str):
    __slots__ = ()


class TrapDict(Trap, dict):
    def update(self, *_: Any) -> None:
        RAN.append("update")

    def __setitem__(self, key: Any, value: Any) -> None:
        RAN.append("setitem")


class TrapModel(pydantic.BaseModel):
    x: int = 0

    @pydantic.field_validator("x")
    @classmethod
    def check(cls, x: int) -> int:
        RAN.append("validator")
        return x

    def model_post_init(self, _: Any) -> None:
        RAN.append("model_post_init")


@dataclasses.dataclass
class TrapFinaliser:
    x: int = 0

    def __del__(self) -> None:
        RAN.append("del")


@dataclasses.dataclass
class TrapProperty:
    x: int = 0

    @property
    def door(self) -> int:
        return 1

    @door.setter
    def door(self, _: int) -> None:
        RAN.append("property")

    def run(self) -> None:
        RAN.append("run")


def ext(tag: int, *parts: Any) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(tag, ormsgpack.packb(list(parts))))


def name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()
    yield
    assert RAN == []


def harmless(data: bytes) -> Any:
    """Decode, and allow nothing but a value or a CodecError."""
    imported = set(sys.modules)
    try:
        value = decode(data)
    except CodecError:
        value = None
    assert set(sys.modules) == imported
    return value


class TestForgedBytes:
    @pytest.mark.parametrize(
        "name", ["os:system", "builtins:eval", "builtins:exec", "posix:system", "subprocess:run", "os:environ"]
    )
    @pytest.mark.parametrize("tag", [tag for tag in Tag if tag in LAYOUTS] + [Tag.ENUM, Tag.ARRAY])
    def test_a_function_is_never_found(self, name, tag):
        value = harmless(ext(tag, name, {"args": ("true",)}, "true", {}))
        assert not callable(value)
        assert not callable(getattr(value, "value", None))

    @pytest.mark.parametrize("tag", [Tag.DATACLASS, Tag.ATTRS, Tag.PYDANTIC, Tag.NAMED_TUPLE, Tag.EXCEPTION, Tag.ENUM])
    def test_a_class_of_another_kind_is_never_built(self, tag, tmp_path):
        witness = tmp_path / "witness"
        data = ext(tag, "subprocess:Popen", {"args": ["touch", str(witness)]}, [], None)
        assert not isinstance(harmless(data), subprocess.Popen)
        assert not witness.exists()

    @pytest.mark.parametrize(
        "name", ["antigravity:Gone", "this:Zen", "no_such_module:C", ":", "", "os", ":C", "os:", "os:path.join"]
    )
    def test_nothing_is_imported_for_a_name(self, name):
        value = harmless(ext(Tag.DATACLASS, name, {"x": 1}))
        assert isinstance(value, Opaque)
        assert value.value == {"x": 1}
        assert isinstance(harmless(ormsgpack.packb(ormsgpack.Ext(Tag.CLASS, name.encode()))), Opaque)

    def test_a_module_is_not_asked_for_what_it_makes_up(self, monkeypatch):
        class Lazy(types.ModuleType):
            def __getattribute__(self, name: str) -> Any:
                RAN.append("module")
                return super().__getattribute__(name)

        module = Lazy("a_lazy_module")
        vars(types.ModuleType)["__dict__"].__get__(module)["__getattr__"] = lambda name: RAN.append("getattr")
        monkeypatch.setitem(sys.modules, "a_lazy_module", module)
        assert isinstance(harmless(ext(Tag.DATACLASS, "a_lazy_module:Thing", {})), Opaque)

    def test_something_in_the_place_of_a_module_is_not_asked_either(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "a_strange_module", TrapFinaliser.__new__)
        assert isinstance(harmless(ext(Tag.DATACLASS, "a_strange_module:Thing", {})), Opaque)

    def test_no_code_of_a_class_is_run_to_rebuild_it(self):
        record = harmless(ext(Tag.DATACLASS, name_of(TrapRecord), {"x": 7}))
        error = harmless(
            ormsgpack.packb(ormsgpack.Ext(Tag.EXCEPTION, encode([name_of(TrapError), {"args": ("a",)}]).data))
        )
        text = harmless(ext(Tag.SUBCLASS, name_of(TrapText), "t", {}))
        mapping = harmless(ext(Tag.SUBCLASS, name_of(TrapDict), {"k": 1}, {}))
        model = harmless(ext(Tag.PYDANTIC, name_of(TrapModel), {"x": "not checked"}, ["x"], None))
        assert [type(item) for item in (record, error, text, mapping, model)] == [
            TrapRecord,
            TrapError,
            TrapText,
            TrapDict,
            TrapModel,
        ]
        assert (record.x, error.args, str(text), dict(mapping), model.x) == (7, ("a",), "t", {"k": 1}, "not checked")

    def test_a_class_with_a_finaliser_is_never_rebuilt(self):
        assert isinstance(harmless(ext(Tag.DATACLASS, name_of(TrapFinaliser), {"x": 1})), Opaque)

    @pytest.mark.parametrize("field", ["door", "run", "__class__", "__dict__", "__init__"])
    def test_a_forged_field_reaches_no_property_and_hides_no_method(self, field):
        value = harmless(ext(Tag.DATACLASS, name_of(TrapProperty), {"x": 1, field: 2}))
        assert isinstance(value, Opaque)

    @pytest.mark.parametrize(
        "parts",
        [
            (name_of(Box), 5),
            (name_of(Box), {"content": 1}),
            (name_of(Box), {}, 1, 2),
            (name_of(Box),),
            (name_of(Colour), {"content": 1, "label": 2, "size": 3}),
        ],
    )
    def test_fields_that_do_not_fit_give_an_opaque_or_an_error(self, parts):
        value = harmless(ext(Tag.DATACLASS, *parts))
        assert value is None or isinstance(value, Opaque)

    def test_a_unicode_error_with_forged_parts_is_not_built(self):
        args = ormsgpack.Ext(Tag.TUPLE, ormsgpack.packb(["utf-8", 12345, 0, 1, "bad"]))
        value = harmless(ext(Tag.EXCEPTION, "builtins:UnicodeDecodeError", {"args": args}))
        assert isinstance(value, Opaque)

    @pytest.mark.parametrize(
        "dtype", ["O", "|O8", "os.system", "<f8,O", [["a", "O"]], [["a", ["b"]]], "<U0", {"a": 1}, None]
    )
    def test_numpy_gets_plain_types_only(self, dtype):
        assert isinstance(harmless(ext(Tag.ARRAY, dtype, [1], "C", b"\0" * 8)), Opaque)
        assert isinstance(harmless(ext(Tag.SCALAR, dtype, b"\0" * 8)), Opaque)

    def test_an_array_never_reaches_beyond_its_bytes(self):
        assert isinstance(harmless(ext(Tag.ARRAY, "<f8", [1_000_000_000], "C", b"\0" * 8)), Opaque)
        assert isinstance(harmless(ext(Tag.ARRAY, "<f8", [-1], "C", b"\0" * 8)), Opaque)

    @pytest.mark.parametrize("key", ["../../../etc/passwd", "/etc/passwd", "No/Where", ""])
    def test_a_forged_time_zone_is_refused(self, key):
        with pytest.raises(CodecError):
            decode(ormsgpack.packb(ormsgpack.Ext(Tag.ZONE_INFO, key.encode())))

    def test_the_factory_of_a_default_dict_is_a_builtin_type_or_nothing(self):
        trap = ormsgpack.Ext(Tag.CLASS, name_of(TrapRecord).encode())
        assert harmless(ext(Tag.DEFAULT_DICT, trap)).default_factory is None

    def test_a_list_cannot_be_smuggled_in_as_a_key(self):
        with pytest.raises(CodecError):
            decode(ext(Tag.SET, [1]))
        with pytest.raises(CodecError):
            decode(ext(Tag.DICT, [1], 2))

    def test_an_unknown_extension_is_an_error(self):
        with pytest.raises(CodecError, match="99"):
            decode(ext(99, 1))


class TestTornAndRandomBytes:
    @THOROUGH
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_give_a_value_or_a_codec_error(self, data):
        harmless(data)
        with contextlib.suppress(CodecError):
            canonical(data)

    @THOROUGH
    @given(st.sampled_from(list(Tag)), st.binary(max_size=60))
    def test_arbitrary_bodies_give_a_value_or_a_codec_error(self, tag, body):
        harmless(ormsgpack.packb(ormsgpack.Ext(tag, body)))

    @THOROUGH
    @given(values(), st.data())
    def test_a_changed_byte_gives_a_value_or_a_codec_error(self, value, data):
        payload = bytearray(encode(value).data)
        for _ in range(data.draw(st.integers(1, 3))):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
        harmless(bytes(payload))
        with contextlib.suppress(CodecError):
            canonical(bytes(payload))

    @THOROUGH
    @given(values(), st.data())
    def test_torn_bytes_are_a_codec_error(self, value, data):
        payload = encode(value).data
        torn = payload[: data.draw(st.integers(0, len(payload) - 1))]
        with pytest.raises(CodecError):
            decode(torn)


def nested(levels: int, wrap: Any) -> bytes:
    body = b"\xc0"
    for _ in range(levels):
        body = wrap(body)
    return body


def as_tuple(body: bytes) -> bytes:
    return b"\xc9" + (len(body) + 1).to_bytes(4, "big") + bytes((Tag.TUPLE,)) + b"\x91" + body


def as_deep_tuple(body: bytes) -> bytes:
    inner = b"\x91" * 1_000 + body
    return b"\xc9" + len(inner).to_bytes(4, "big") + bytes((Tag.TUPLE,)) + inner


class TestBombs:
    @pytest.mark.parametrize(
        "data",
        [
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\x01",
            ext(Tag.TUPLE)[:-1] + b"\xdd\xff\xff\xff\xff",
            b"\x91" * 1_000_000,
            b"\x81\xa1a" * 1_000_000,
            nested(5_000, as_tuple),
            nested(60, as_deep_tuple),
            b"",
        ],
        ids=[
            "array",
            "map",
            "bytes",
            "text",
            "extension",
            "body",
            "deep lists",
            "deep maps",
            "deep tuples",
            "both",
            "empty",
        ],
    )
    def test_lengths_and_depths_that_lie_are_a_codec_error(self, data):
        for read in (decode, canonical):
            with pytest.raises(CodecError):
                read(data)

    def test_a_small_stack_survives_them_too(self):
        """The default stack of a thread; the deepest payload that is read at all."""
        caught: list[str] = []

        def read() -> None:
            for levels in (1, 5, 9, 10, 20, 100):
                try:
                    decode(nested(levels, as_deep_tuple))
                except CodecError:
                    caught.append("error")

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert len(caught) >= 3

    def test_a_class_from_the_standard_library_cannot_touch_a_file(self, tmp_path):
        """tempfile's wrapper deletes the file that it names when it is collected."""
        import tempfile

        victim = tmp_path / "victim"
        victim.write_text("precious")
        closer = f"{tempfile.__name__}:_TemporaryFileCloser"
        for tag in (Tag.DATACLASS, Tag.ATTRS, Tag.SUBCLASS, Tag.EXCEPTION):
            harmless(ext(tag, closer, {"name": str(victim), "delete": True, "unlink": os.unlink.__name__}, {}))
        assert victim.exists()


class TestAValueThatSharesItsParts:
    @pytest.mark.parametrize("key", ["text", 1], ids=["the quick way", "the careful way"])
    def test_many_levels_deep_is_marked_and_does_not_fill_the_memory(self, key: Any) -> None:
        graph: Any = {key: ("leaf",)}
        for _ in range(40):
            graph = (graph, graph)
        encoded = encode(graph)
        assert encoded.lossy == ("$",)
        assert decode(encoded.data).text == "<more than 1,000,000 values>"
