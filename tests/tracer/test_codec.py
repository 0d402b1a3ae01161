"""A value comes back as it was, or the codec says where it will not."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import random
import subprocess
import sys
import threading
import types
from datetime import datetime, tzinfo
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    THOROUGH,
    BigBox,
    Box,
    Coin,
    Colour,
    Outer,
    PipelineError,
    Point,
    Right,
    alike,
    keys,
    plain_values,
    values,
)
from tracer.codec import Encoded, Lossy, Opaque, Yielded, address, canonical, decode, encode, identity
from tracer.wire import Chunk, HttpRequest, HttpResponse

KEY = b"a secret of the store"


class Client:
    """Something that nobody could restore."""


class Angry:
    def __repr__(self) -> str:
        raise RuntimeError("don't look at me")


class Liar:
    """Its class is not what it says."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


@dataclasses.dataclass
class Cached:
    base: int

    @functools.cached_property
    def double(self) -> int:
        return self.base * 2


@dataclasses.dataclass
class Guarded:
    """The field's value lives behind a property."""

    level: int

    @property  # type: ignore[no-redef]
    def level(self) -> int:
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        self._level = level


class Closing:
    def __del__(self) -> None:
        self.name = "closed"


@dataclasses.dataclass
class Finalised(Closing):
    name: str


class Tokyo(tzinfo):
    def utcoffset(self, _: Any) -> Any:
        return None


def lossy(value: Any) -> tuple[str, ...]:
    encoded = encode(value)
    decode(encoded.data)
    return encoded.lossy


def returned(value: Any) -> Any:
    encoded = encode(value)
    assert encoded.lossy == ()
    return decode(encoded.data)


class TestRoundTrip:
    @THOROUGH
    @given(values())
    def test_every_exact_value_comes_back_equal_and_of_the_same_type(self, value):
        encoded = encode(value)
        assert encoded.lossy == ()
        assert alike(value, decode(encoded.data))

    @THOROUGH
    @given(keys())
    def test_every_exact_value_that_can_be_a_key_comes_back_as_one(self, key):
        assert alike({key: 1}, returned({key: 1}))

    @THOROUGH
    @given(values())
    def test_the_second_writing_gives_the_same_bytes(self, value):
        data = encode(value).data
        assert encode(decode(data)).data == data

    def test_the_order_of_a_mapping_is_kept(self):
        assert list(returned({"z": 1, "a": 2})) == ["z", "a"]
        assert list(returned({9: 1, "a": 2, 1: 3})) == [9, "a", 1]

    def test_numbers_that_compare_equal_keep_their_types(self):
        assert [type(item) for item in returned([1, 1.0, True])] == [int, float, bool]

    def test_bytes_and_bytearrays_stay_apart_wherever_they_stand(self):
        value = {"a": [b"x", {"b": bytearray(b"y")}], "c": (bytearray(b"z"), b"z")}
        assert alike(value, returned(value))

    def test_both_sides_of_a_repeated_hour_stay_apart(self):
        from zoneinfo import ZoneInfo

        early = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
        late = early.replace(fold=1)
        assert returned(early).utcoffset() == early.utcoffset()
        assert returned(late).utcoffset() == late.utcoffset() != early.utcoffset()

    def test_a_recorded_http_exchange_comes_back(self):
        request = HttpRequest("POST", "https://h/v1", (("accept", "*/*"),), {"messages": [{"role": "user"}]})
        response = HttpResponse(200, (), (Chunk(5, b"\x00\xff"), Chunk(9, b"")), "broken", "ReadError")
        assert returned((request, response)) == (request, response)

    def test_what_a_generator_gave_comes_back(self):
        assert returned(Yielded((1, "a"), None)) == Yielded((1, "a"), None)

    def test_a_named_tuple_inside_a_class_is_found_by_its_qualified_name(self):
        assert type(returned(BigBox.Handle(3))) is BigBox.Handle

    def test_enum_members_come_back_as_the_members_themselves(self):
        assert returned(Colour.BLUE) is Colour.BLUE
        assert returned(Right.READ | Right.WRITE) is Right.READ | Right.WRITE

    def test_an_exception_comes_back_without_its_init_being_called(self):
        error = PipelineError("bad", code={"why": (1, 2)})
        error.__cause__ = KeyError("below")
        error.add_note("while classifying")
        again = returned(error)
        assert (type(again), again.args, again.code) == (PipelineError, ("bad",), {"why": (1, 2)})
        assert again.__notes__ == ["while classifying"]
        assert type(again.__cause__) is KeyError
        assert again.__suppress_context__

    def test_builtin_exceptions_keep_what_is_not_among_their_arguments(self):
        with pytest.raises(OSError, match="none") as missing:
            open("/no/such/file/none")  # noqa: SIM115, PTH123
        again = returned(missing.value)
        assert (type(again), again.errno, again.filename) == (FileNotFoundError, 2, "/no/such/file/none")
        assert str(returned(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))).endswith("position 0: bad")
        assert returned(ModuleNotFoundError("m", name="numpi")).name == "numpi"

    def test_an_exception_group_comes_back_with_its_parts(self):
        again = returned(ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [KeyError("k")])]))
        assert [type(error) for error in again.exceptions] == [ValueError, ExceptionGroup]
        assert again.exceptions[1].exceptions[0].args == ("k",)

    def test_a_model_keeps_which_fields_were_given_and_which_were_extra(self):
        again = returned(Outer(name="n", colour="red"))
        assert again == Outer(name="n", colour="red")
        assert again.model_fields_set == {"name", "colour"}
        assert again.model_dump() == {"name": "n", "inner": {"number": 0}, "anything": None, "colour": "red"}

    def test_private_attributes_of_a_model_come_back_with_their_defaults(self):
        model = Outer(name="n")
        model._cache = 5
        assert returned(model)._cache == 0

    def test_a_cached_property_is_left_out_because_it_is_derived(self):
        warm, cold = Cached(2), Cached(2)
        assert warm.double == 4
        assert encode(warm) == encode(cold)

    def test_attributes_beside_the_fields_are_kept(self):
        box = Box(1)
        box.colour = "red"
        assert vars(returned(box)) == {"content": 1, "label": "box", "size": 0, "colour": "red"}

    def test_an_array_of_named_columns_comes_back(self):
        array = np.array([(1, 2.5), (3, 4.5)], dtype=[("id", "<i4"), ("score", "<f8")])
        again = returned(array)
        assert again.dtype == array.dtype
        assert (again == array).all()

    def test_an_array_that_comes_back_can_be_changed(self):
        again = returned(np.zeros(3))
        again[0] = 1
        assert again.tolist() == [1, 0, 0]

    def test_two_hundred_levels_of_lists_come_back(self):
        value: Any = "core"
        for _ in range(199):
            value = [value]
        assert returned(value) == value

    def test_ninety_levels_of_objects_come_back(self):
        value: Any = "core"
        for _ in range(90):
            value = (value,)
        assert returned(value) == value

    def test_threads_do_not_disturb_each_other(self):
        wrong: list[Any] = []

        def work(number: int) -> None:
            value = {number: [Coin(number, Colour.BLUE), Client()] * 5, "t": (number,)}
            for _ in range(50):
                encoded = encode(value)
                if len(encoded.lossy) != 5 or decode(encoded.data)["t"] != (number,):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestWhatCannotBeRestored:
    def test_an_unknown_object_is_kept_readable_and_says_so(self):
        encoded = encode({"client": Client()})
        assert encoded.lossy == ("$.client",)
        kept = decode(encoded.data)["client"]
        assert kept == Lossy(f"{__name__}.Client", f"<{__name__}.Client object>")

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (Client(), "$"),
            ({"items": [1, 2, 3, {"conn": Client()}]}, "$.items[3].conn"),
            ({"two words": Client()}, '$["two words"]'),
            ({'say "hi"': Client()}, r'$["say \"hi\""]'),
            ({7: Client()}, "$[7]"),
            ({(1, "a"): Client()}, "$[(1, 'a')]"),
            ({Client(): 1}, "$[key 0]"),
            (Box(Client()), "$.content"),
            (Coin([Client()]), "$.value[0]"),
            (Point(Client()), "$.x"),
            (Outer(name="n", anything=Client()), "$.anything"),
            (Outer(name="n", other=Client()), "$.other"),
            (PipelineError("m", code=Client()), "$.code"),
            (ValueError(1, Client()), "$.args[1]"),
            (collections.deque([0, Client()], 5), "$[1]"),
            (collections.defaultdict(lambda: 0), "$.default_factory"),
            (types.SimpleNamespace(a=Client()), "$.a"),
            (slice(Client(), None), "$.start"),
        ],
    )
    def test_the_path_leads_to_the_culprit(self, value, path):
        assert lossy(value) == (path,)

    @pytest.mark.parametrize(
        "value",
        [
            object(),
            lambda: 1,
            print,
            sys,
            (item for item in ()),
            iter([]),
            threading.Lock(),
            memoryview(b"bytes"),
            np.array([object()]),
            np.ma.array([1], mask=[True]),
            datetime(2025, 1, 1, tzinfo=Tokyo()),
            list[int],
            type("Made", (), {}),
            Guarded(3),
            Finalised("f"),
            pydantic.SecretStr("hidden"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_no_plain_data_is_lossy_but_can_be_decoded(self, value):
        assert lossy(value) == ("$",)
        assert lossy([value]) == ("$[0]",)
        assert lossy({1: value}) == ("$[1]",)

    def test_a_class_of_a_function_keeps_its_fields_though_it_will_not_be_found_again(self):
        @dataclasses.dataclass
        class Local:
            number: int
            client: Any

        encoded = encode(Local(4, None))
        assert encoded.lossy == ("$",)
        kept = decode(encoded.data)
        assert isinstance(kept, Opaque)
        assert kept.type.endswith("<locals>.Local")
        assert kept.value == {"number": 4, "client": None}
        assert lossy({"x": Local(4, Client())}) == ("$.x", "$.x.client")

    def test_a_class_that_hides_behind_the_name_of_another_is_lossy(self):
        stranger = dataclasses.make_dataclass("Coin", ["value"], namespace={"__module__": Coin.__module__})
        assert lossy(stranger(1)) == ("$",)
        assert lossy(Coin(1)) == ()

    def test_a_repr_that_raises_is_no_reason_to_raise(self):
        assert "RuntimeError" in decode(encode(Angry()).data).text
        assert lossy({"a": Liar(), 2: [Angry()]}) == ("$.a", "$[2][0]")

    def test_a_long_repr_is_cut(self):
        class Long:
            def __repr__(self) -> str:
                return "x" * 1_000_000

        assert len(decode(encode(Long()).data).text) < 2_100

    def test_addresses_in_memory_are_taken_out(self):
        assert " at 0x" not in decode(encode([Client(), lambda: 1]).data)[1].text

    def test_a_method_stored_over_a_method_is_never_restored(self):
        cached = Cached(1)
        vars(cached)["__eq__"] = "not a method"
        assert lossy(cached) == ("$",)

    def test_a_cycle_is_cut_where_it_closes(self):
        items: list[Any] = [1]
        items.append({"again": items})
        assert lossy(items) == ("$[1].again",)
        box = Box(None)
        box.content = (box,)
        assert lossy(box) == ("$.content[0]",)

    def test_a_value_that_occurs_twice_is_no_cycle(self):
        shared = [1]
        assert returned({1: shared, "b": (shared, shared)}) == {1: [1], "b": ([1], [1])}

    def test_what_is_nested_too_deep_is_cut_off(self):
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        assert len(lossy({"a": 1, "deep": deep})) == 1
        objects: Any = None
        for _ in range(1_000):
            objects = Box(objects)
        assert len(lossy(objects)) == 1
        while deep:  # or its deallocation would recurse as deep
            deep = deep.pop()

    def test_a_thread_at_the_end_of_its_stack_can_still_encode(self):
        value = {1: [Coin((1, Client()))]}

        def sink(levels: int) -> Encoded:
            return encode(value) if not levels else sink(levels - 1)

        depth = sys.getrecursionlimit() - len_of_stack() - 12
        results = [sink(levels) for levels in range(depth - 60, depth)]
        assert all(isinstance(decode(encoded.data), (dict, Lossy)) for encoded in results)
        assert all(encoded.lossy for encoded in results)

    def test_a_mapping_that_changes_meanwhile_is_no_reason_to_raise(self):
        class Growing(dict):
            def __hash__(self) -> int:
                return 1

        growing: dict[Any, Any] = {}

        class Pusher:
            def __repr__(self) -> str:
                growing[len(growing)] = 1
                return "pusher"

        growing.update({1: Pusher(), 2: Pusher()})
        assert lossy(growing)


def len_of_stack() -> int:
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


class TestOpaque:
    @pytest.fixture
    def foreign(self) -> bytes:
        """The bytes of an object whose class nobody has imported any more."""
        module = types.ModuleType("a_module_of_yesterday")
        module.Gone = dataclasses.make_dataclass("Gone", ["x"], frozen=True)
        module.Gone.__module__ = module.__name__  # set last: from 3.12 on make_dataclass sets it itself
        sys.modules[module.__name__] = module
        try:
            encoded = encode(module.Gone({"deep": (1,)}))
        finally:
            del sys.modules[module.__name__]
        assert encoded.lossy == ()
        return encoded.data

    def test_an_instance_of_a_class_that_is_not_imported_can_be_looked_at(self, foreign):
        value = decode(foreign)
        assert isinstance(value, Opaque)
        assert (value.type, value.value) == ("a_module_of_yesterday.Gone", {"x": {"deep": (1,)}})
        assert "a_module_of_yesterday" not in sys.modules

    def test_writing_it_again_gives_the_same_bytes(self, foreign):
        assert encode(decode(foreign)) == Encoded(foreign, ())
        assert encode([decode(foreign)]).lossy == ()

    def test_it_can_be_a_key(self, foreign):
        value = decode(foreign)
        assert returned({value: 1}) == {value: 1}

    def test_a_class_whose_fields_have_changed_since_gives_an_opaque(self):
        data = encode(Box(1)).data
        newer = data.replace(b"\xa5label", b"\xa5lebel")
        assert newer != data
        assert decode(newer) == Opaque(
            f"{Box.__module__}.Box", {"content": 1, "lebel": "box", "size": 0}, decode(newer).raw
        )

    def test_a_member_that_is_gone_gives_an_opaque(self):
        value = decode(encode(Colour.RED).data.replace(b"\xa3RED", b"\xa3RAD"))
        assert value.value == {"name": "RAD", "value": "red"}

    def test_one_made_by_hand_comes_back(self):
        assert returned(Opaque("m.C", [1])) == Opaque("m.C", [1])


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same value, its mappings and sets filled in another order."""
    if type(value) is dict:
        items = list(value.items())
        chance.shuffle(items)
        return {key: shuffled(item, chance) for key, item in items}
    if type(value) is list:
        return [shuffled(item, chance) for item in value]
    if type(value) is set:
        items = list(value)
        chance.shuffle(items)
        return set(items)
    return value


class TestIdentity:
    @THOROUGH
    @given(
        st.recursive(
            plain_values() | st.sets(st.integers() | st.text(max_size=3)),
            lambda inner: st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=5) | st.lists(inner),
            max_leaves=10,
        ),
        st.randoms(use_true_random=False),
    )
    def test_it_does_not_depend_on_the_order_of_mappings_and_sets(self, value, chance):
        assert identity(encode(value).data, KEY) == identity(encode(shuffled(value, chance)).data, KEY)

    @THOROUGH
    @given(values())
    def test_every_value_has_one_and_it_survives_a_round_trip(self, value):
        data = encode(value).data
        assert identity(data, KEY) == identity(encode(decode(data)).data, KEY)
        assert canonical(data)[:1] == b"\x01"

    @THOROUGH
    @given(plain_values(), plain_values())
    def test_different_values_differ(self, left, right):
        same = alike(left, right) or (alike(shuffled_free(left), shuffled_free(right)))
        assert (canonical(encode(left).data) == canonical(encode(right).data)) is same

    def test_types_that_compare_equal_stay_apart(self):
        family = [1, 1.0, True, "1", b"1", [1], (1,), {1}, {1: 1}, {"1": 1}, Coin(1), Box(1), Colour.RED, None, 0, -0.0]
        assert len({identity(encode(value).data, KEY) for value in family}) == len(family)

    def test_the_order_of_an_ordered_dict_counts(self):
        one = collections.OrderedDict(a=1, b=2)
        two = collections.OrderedDict(b=2, a=1)
        assert canonical(encode(one).data) != canonical(encode(two).data)

    def test_two_clients_have_the_same_one_whatever_their_repr_says(self):
        class Session:
            def __repr__(self) -> str:
                return f"<Session {id(self)}>"

        assert identity(encode([Session(), 1]).data, KEY) == identity(encode([Session(), 1]).data, KEY)
        assert identity(encode([Session()]).data, KEY) != identity(encode([Client()]).data, KEY)

    def test_the_key_matters_and_the_digests_name_their_algorithm(self):
        data = encode({"a": 1}).data
        assert identity(data, b"one") != identity(data, b"two")
        assert identity(data, KEY).startswith("k1:")
        assert len(identity(data, KEY)) == len(address(data)) == 3 + 32

    def test_addresses_tell_bytes_apart_and_nothing_else(self):
        assert address(b"a") == "b2:27c35e6e9373877f29e562464e46497e"
        assert address(b"a") != address(b"b")

    def test_the_form_is_frozen(self):
        value = {"b": {2, 1}, "a": (1, 2.5, None, b"x"), "c": {3: "three", 1: Coin("v")}}
        assert canonical(encode(value).data).hex() == FROZEN

    def test_it_is_the_same_in_a_process_that_hashes_differently(self):
        program = (
            "from tracer.codec import encode, address, identity\n"
            "value = {'tags': {'a', 'b', 'c', 'dd'}, 'n': frozenset((1, 'x', None)), 'k': {('a', 1): {'z', 'y'}}}\n"
            "data = encode(value).data\n"
            "print(identity(data, b'key'), address(data), list({'a', 'b', 'c', 'dd'}))\n"
        )
        printed = [
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split(maxsplit=2)
            for seed in ("1", "2")
        ]
        assert printed[0][2] != printed[1][2]
        assert printed[0][:2] == printed[1][:2]


def shuffled_free(value: Any) -> Any:
    """The value with its mappings sorted."""
    if type(value) is dict:
        return {key: shuffled_free(value[key]) for key in sorted(value)}
    return [shuffled_free(item) for item in value] if type(value) is list else value


FROZEN = (
    "0183a161c70f019401cb4004000000000000c0c40178a162c70302920102a163c755049401c7491d92b574657374732e73747261746567"
    "6965733a436f696e82a473696465c7212193b774657374732e737472617465676965733a436f6c6f7572a3524544a3726564a576616c75"
    "65a17603a57468726565"
)
