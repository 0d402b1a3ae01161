"""Long payloads in pieces: the same bytes again, and what two have in common stored once."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import Story
from tracer import codec
from tracer.store import Store
from tracer.store.bodies import chunks
from tracer.store.packs import LIST, NODE, WHOLE, Place
from tracer.store.pieces import BASE64, LITERAL, PIECE, cut, digest_of, entries_in, joined, written
from tracer.wire import HttpRequest

chance = random.Random(3)


def words(length: int) -> str:
    return "".join(chance.choices("abcdefghij klmnop qrstuv wxyz ", k=length))


def pieces_of(value: Any) -> set[bytes]:
    """The digests of everything that a value is stored as, the lists of its pieces included."""
    bodies: dict[bytes, bytes] = {}
    nodes: dict[bytes, bytes] = {}
    joined(cut(codec.encode(value).data), bodies, nodes)
    return {*bodies, *nodes}


def put_together(data: bytes) -> bytes:
    """Cut, list, and follow the list, as the store does."""
    bodies: dict[bytes, bytes] = {}
    nodes: dict[bytes, bytes] = {}
    top = joined(cut(data), bodies, nodes)
    root = b"root"
    stored = {digest: (Place(digest, 0, 0, 0, 0, WHOLE), body) for digest, body in bodies.items()}
    stored |= {digest: (Place(digest, 0, 0, 0, 0, NODE), body) for digest, body in nodes.items()}
    stored[root] = (Place(root, 0, 0, 0, 0, LIST), top)
    return b"".join(chunks(root, stored.get))


def message(length: int = 400) -> dict[str, Any]:
    return {"role": "user", "content": words(length)}


_long = st.text(min_size=0, max_size=40).map(lambda text: text * 60)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | _long | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=3).map(lambda items: items * 20)
        | st.dictionaries(st.text(max_size=20), inner, max_size=6)
        | st.lists(inner, max_size=4).map(tuple)
        | st.binary(max_size=30).map(lambda data: base64.b64encode(data * 60).decode())
    ),
    max_leaves=25,
)


class TestCut:
    @settings(deadline=None, max_examples=200)
    @given(_plain)
    def test_the_pieces_of_any_value_come_to_its_bytes_again(self, value: Any) -> None:
        data = codec.encode(value).data
        assert put_together(data) == data

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=3_000), st.integers(0, 3_000))
    def test_so_do_the_pieces_of_bytes_that_are_no_payload(self, data: bytes, at: int) -> None:
        torn = codec.encode([message() for _ in range(9)]).data
        for each in (data, torn[:at], torn[:at] + data):
            assert put_together(each) == each

    @pytest.mark.parametrize("levels", [30, 199, 900])
    def test_values_inside_values_are_cut_however_deep_they_lie(self, levels: int) -> None:
        deep: Any = [message() for _ in range(20)]
        for _ in range(levels):
            deep = [deep]
        data = codec.encode(deep).data
        assert put_together(data) == data

    def test_lists_that_are_none_are_refused(self) -> None:
        for torn in (b"\x01short", b"\x09" + bytes(16), b"\x00"):
            with pytest.raises(ValueError, match="list of pieces"):
                list(entries_in(torn))

    def test_an_embedding_is_one_piece(self) -> None:
        parts = cut(codec.encode({"text": words(200), "vector": [chance.random() for _ in range(1_536)]}).data)
        assert max(len(body) for _, body in parts) > 1_536 * 9


class TestSharing:
    """What is stored anew when a conversation changes does not depend on how long it is."""

    @settings(deadline=None, max_examples=40)
    @given(st.integers(20, 300), st.integers(0, 2**32), st.data())
    def test_a_changed_conversation_shares_all_but_a_few_pieces(
        self, turns: int, seed: int, data: st.DataObject
    ) -> None:
        made = random.Random(seed)
        talk = [{"role": "user", "content": f"{made.random()} " * made.randint(1, 120)} for _ in range(turns)]
        tools = [message() for _ in range(8)]
        before = pieces_of({"messages": talk, "tools": tools})
        at = data.draw(st.integers(0, turns - 10))
        new = {"role": "user", "content": "now something else entirely"}
        changed = {
            "appended": [*talk, new],
            "put in": [*talk[:at], new, *talk[at:]],
            "cut at the front": talk[at:],
            "without one": [*talk[:at], *talk[at + 1 :]],
        }
        for how, messages in changed.items():
            assert len(pieces_of({"messages": messages, "tools": tools}) - before) <= 16, how

    def test_the_same_messages_are_shared_by_a_list_and_a_request_over_http(self) -> None:
        body = {"model": "m", "messages": [message(1_500) for _ in range(40)]}
        sent = HttpRequest("POST", "https://api.openai.com/v1/chat/completions", (("a", "b"),), body)
        assert len(pieces_of(sent) - pieces_of({"messages": body["messages"]})) <= 8


class TestBlobs:
    blob = random.Random(1).randbytes(20_000)

    @pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "data:audio/wav;rate=8000;base64,"])
    def test_base64_is_kept_as_what_it_says(self, prefix: str) -> None:
        text = prefix + base64.b64encode(self.blob).decode()
        data = codec.encode({"url": text}).data
        parts = cut(data)
        assert (BASE64, self.blob) in parts
        assert b"".join(map(written, parts)) == data
        assert sum(len(body) for _, body in parts) < len(self.blob) + 100

    def test_bytes_and_base64_are_the_same_blob(self) -> None:
        raw = {body: letter for letter, body in cut(codec.encode([self.blob, 1]).data)}
        assert raw[self.blob] == PIECE
        assert digest_of(self.blob) in pieces_of(base64.b64encode(self.blob).decode())

    @pytest.mark.parametrize(
        "text",
        [
            base64.b64encode(blob[:-1]).decode().rstrip("="),
            base64.encodebytes(blob).decode(),
            base64.urlsafe_b64encode(blob).decode(),
            "A" * 5_000 + "!",
            # the last letter says bits that belong to no byte: writing it again gives another text
            "A" * 4_997 + "B==",
        ],
        ids=["unpadded", "in lines", "for urls", "with more behind", "not canonical"],
    )
    def test_text_that_only_looks_like_base64_stays_text(self, text: str) -> None:
        data = codec.encode([text]).data
        parts = cut(data)
        assert b"".join(map(written, parts)) == data
        assert {letter for letter, _ in parts} == {LITERAL, PIECE}


class TestStoredPieces:
    def test_a_conversation_that_grows_costs_what_is_new(self, store: Store) -> None:
        talk = [message(2_000)]
        told = Story()
        for _ in range(60):
            talk.append(message())
            told.step("chat", input={"messages": talk[:]}, output=message())
            store.apply(told.events, owner="me")
            told.events.clear()
        store.apply(told.finish().events, owner="me")
        said = sum(len(each["content"]) for each in talk)
        assert store.facts().payload_size < 4 * said
        inputs = [step.input for step in store.trace(told.trace_id).steps[1:]]
        assert sum(ref.size for ref in inputs) > 20 * said
        found = store.payloads(ref.digest for ref in inputs)
        assert [codec.decode(found[ref.digest])["messages"] for ref in inputs] == [talk[: n + 2] for n in range(60)]
        assert [len(found[ref.digest]) for ref in inputs] == [ref.size for ref in inputs]

    def test_what_many_traces_have_in_common_is_stored_once(self, store: Store) -> None:
        system, tools = words(20_000), [message(1_000) for _ in range(15)]
        sizes = []
        for number in range(5):
            value = {"system": system, "tools": tools, "question": f"number {number}"}
            store.apply(Story(input=value).finish().events, owner="me")
            sizes.append(store.facts().payload_size)
        assert sizes[0] > 35_000
        assert sizes[-1] - sizes[0] < 4_000

    def test_an_image_is_stored_once_and_as_bytes(self, store: Store) -> None:
        text = "data:image/png;base64," + base64.b64encode(TestBlobs.blob).decode()
        told = Story(input={"image_url": {"url": text}})
        told.step("read", output=TestBlobs.blob)
        store.apply(told.finish([text, text]).events, owner="me")
        assert store.facts().payload_size < 22_000
        trace = store.trace(told.trace_id)
        assert store.value(trace.root.output) == [text, text]
        assert store.value(trace.steps[1].output) == TestBlobs.blob

    def test_a_value_that_reads_like_a_list_of_pieces_is_a_value(self, store: Store) -> None:
        """What someone records can't take the place of a part of a list, whatever bytes it is made of."""
        value = [message() for _ in range(200)]
        nodes: dict[bytes, bytes] = {}
        joined(cut(codec.encode(value).data), {}, nodes)
        assert nodes
        forged = Story(input=[each + b"" for each in nodes.values()] + [words(5_000)]).finish()
        store.apply(forged.events, owner="me")
        told = Story(input=value).finish()
        store.apply(told.events, owner="me")
        assert store.value(store.trace(told.trace_id).root.input) == value
        assert store.value(store.trace(forged.trace_id).root.input)[0] == next(iter(nodes.values()))
        assert store.check().damaged == ()
