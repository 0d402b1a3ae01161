from __future__ import annotations

import copy
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import THOROUGH
from tracer import codec
from tracer.http.volatile import steadied

NAMES = st.text("abcé-_:1", min_size=1, max_size=8)
WORDS = st.text("xyz ", max_size=6)
#: A user's words, the calls that the model makes (each a number and its arguments), and the results in their order.
TURNS = st.lists(
    st.tuples(
        WORDS,
        st.lists(
            st.tuples(
                st.integers(0, 5), st.dictionaries(st.sampled_from(["id", "tool_use_id", "n"]), WORDS, max_size=2)
            ),
            max_size=2,
        ),
        st.lists(st.tuples(st.integers(0, 5), WORDS), max_size=2),
    ),
    max_size=3,
)


def openai(turns, name):
    messages = []
    for words, calls, results in turns:
        said = [
            {"id": name[at], "type": "function", "function": {"arguments": json.dumps(given)}} for at, given in calls
        ]
        messages += [{"role": "user", "content": words}, {"role": "assistant", "tool_calls": said}]
        messages += [{"role": "tool", "tool_call_id": name[at], "content": result} for at, result in results]
    return {"model": "m", "messages": messages}


def anthropic(turns, name):
    messages = []
    for words, calls, results in turns:
        said = [{"type": "tool_use", "id": name[at], "name": "t", "input": given} for at, given in calls]
        back = [{"type": "tool_result", "tool_use_id": name[at], "content": result} for at, result in results]
        messages += [{"role": "user", "content": words}, {"role": "assistant", "content": said}]
        messages += [{"role": "user", "content": back}]
    return {"model": "m", "messages": messages}


def bedrock(turns, name):
    messages = []
    for words, calls, results in turns:
        said = [{"toolUse": {"toolUseId": name[at], "name": "t", "input": given}} for at, given in calls]
        back = [{"toolResult": {"toolUseId": name[at], "content": [{"text": result}]}} for at, result in results]
        messages += [{"role": "user", "content": [{"text": words}]}, {"role": "assistant", "content": said}]
        messages += [{"role": "user", "content": back}]
    return {"messages": messages}


def responses(turns, name):
    items = []
    for words, calls, results in turns:
        items.append({"role": "user", "content": words})
        items += [
            {"type": "function_call", "id": f"fc{name[at]}", "call_id": name[at], "arguments": json.dumps(given)}
            for at, given in calls
        ]
        items += [{"type": "function_call_output", "call_id": name[at], "output": result} for at, result in results]
    return {"model": "m", "input": items}


def gemini(turns, name):
    contents = []
    for words, calls, results in turns:
        said = [{"functionCall": {"id": name[at], "name": "t", "args": given}} for at, given in calls]
        back = [{"functionResponse": {"id": name[at], "response": {"result": result}}} for at, result in results]
        contents += [{"role": "user", "parts": [{"text": words}]}, {"role": "model", "parts": said}, {"parts": back}]
    return {"contents": contents}


def digest(body):
    return codec.identity(codec.encode(steadied(body)).data, b"k" * 32)


def settled(turns):
    """A conversation with its calls numbered by first appearance, of the calls first: equal for equal meaning."""
    known = {}
    for _, calls, _ in turns:
        for at, _ in calls:
            known.setdefault(at, len(known))
    for _, _, results in turns:
        for at, _ in results:
            known.setdefault(at, len(known))
    return [
        (words, [(known[at], given) for at, given in calls], [(known[at], result) for at, result in results])
        for words, calls, results in turns
    ]


@pytest.mark.parametrize("dialect", [openai, anthropic, bedrock, responses, gemini])
class TestTheIdsOfToolCalls:
    @THOROUGH
    @given(turns=TURNS, names=st.lists(NAMES, min_size=12, max_size=12, unique=True))
    def test_are_nothing_that_a_call_is_matched_by(self, dialect, turns, names):
        assert digest(dialect(turns, names[:6])) == digest(dialect(turns, names[6:]))

    @THOROUGH
    @given(one=TURNS, other=TURNS, names=st.lists(NAMES, min_size=6, max_size=6, unique=True))
    def test_and_everything_else_is(self, dialect, one, other, names):
        assume(settled(one) != settled(other))
        assert digest(dialect(one, names)) != digest(dialect(other, names))

    def test_which_result_is_whose_counts(self, dialect):
        calls = [(0, {}), (1, {})]
        straight = [("", calls, [(0, "a"), (1, "b")])]
        crossed = [("", calls, [(1, "a"), (0, "b")])]
        assert digest(dialect(straight, "pq")) != digest(dialect(crossed, "pq"))

    @given(turns=TURNS)
    def test_stay_in_the_body_that_is_recorded_and_sent(self, dialect, turns):
        body = dialect(turns, "abcdef")
        before = copy.deepcopy(body)
        steadied(body)
        assert body == before


class TestWhatIsNoIdOfAToolCall:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"input": [{"type": "item_reference", "id": "a"}]}, {"input": [{"type": "item_reference", "id": "b"}]}),
            ({"previous_response_id": "a"}, {"previous_response_id": "b"}),
            ({"messages": [{"name": "a"}]}, {"messages": [{"name": "b"}]}),
            ({"id": "a"}, {"id": "b"}),
        ],
        ids=["reference", "previous", "name", "top"],
    )
    def test_counts(self, one, other):
        assert digest(one) != digest(other)

    @given(
        st.recursive(
            st.none() | st.integers() | WORDS,
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["messages", "content", "id", "tool_calls", "input", "contents", "parts", "toolUse"]
                    ),
                    inner,
                )
            ),
        )
    )
    def test_a_body_of_any_shape_is_taken(self, body):
        assert codec.encode(steadied(body)).lossy == ()

    def test_a_body_without_tools_is_given_back_as_it_is(self):
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        assert steadied(body) is body
