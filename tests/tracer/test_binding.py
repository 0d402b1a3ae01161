from __future__ import annotations

import inspect
from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import recording
from tracer.binding import Binder, arguments

#: Every test here records into a project of its own.
project = recording.project

NAMES = ["a", "b", "c", "d", "self", "cls"]
KEYWORDS = [*NAMES, "e", "rest", "more", "*rest", "**more", "*args", "*"]


@st.composite
def signatures(draw: st.DrawFn) -> inspect.Signature:
    """Any signature over a few names: with defaults, positional-only and keyword-only parameters, *rest and **more."""
    parameters = []
    has_default = False
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        kind = draw(st.sampled_from([inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD]))
        keyword_only = draw(st.booleans()) and draw(st.booleans())
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY if keyword_only else kind))
    if draw(st.booleans()):
        parameters.append(inspect.Parameter("rest", inspect.Parameter.VAR_POSITIONAL))
    if draw(st.booleans()):
        parameters.append(inspect.Parameter("more", inspect.Parameter.VAR_KEYWORD))
    ordered = []
    for parameter in sorted(parameters, key=lambda each: each.kind):
        variadic = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        by_position = parameter.kind < inspect.Parameter.VAR_POSITIONAL
        wanted = not variadic and ((has_default and by_position) or draw(st.booleans()))
        has_default = has_default or (wanted and by_position)
        ordered.append(parameter.replace(default="default") if wanted else parameter)
    return inspect.Signature(ordered)


def function_of(signature: inspect.Signature) -> Callable[..., Any]:
    """A function that gives back everything it was called with."""
    names = ", ".join(f"{name!r}: {name}" for name in signature.parameters)
    scope: dict[str, Any] = {}
    exec(f"def called{signature}:\n    return {{{names}}}", scope)
    function: Callable[..., Any] = scope["called"]
    return function


class TestBinder:
    @given(signatures(), st.lists(st.integers(), max_size=6), st.dictionaries(st.sampled_from(KEYWORDS), st.integers()))
    @settings(max_examples=500, deadline=None)
    def test_names_give_the_same_call_again(
        self, signature: inspect.Signature, args: list[int], kwargs: dict[str, int]
    ) -> None:
        function = function_of(signature)
        named = Binder(function).name(tuple(args), kwargs)
        try:
            expected = function(*args, **kwargs)
        except TypeError:
            return
        again, keywords = arguments(function, named)
        assert function(*again, **keywords) == expected

    def test_a_plain_call_reads_as_it_was_written(self) -> None:
        def search(question: str, /, k: int = 3, *rest: int, deep: bool = False, **more: str) -> None: ...

        assert Binder(search).name(("hi", 4, 5, 6), {"deep": True, "tone": "dry"}) == {
            "question": "hi",
            "k": 4,
            "*rest": (5, 6),
            "deep": True,
            "tone": "dry",
        }

    def test_keywords_that_could_be_mistaken_stand_apart(self) -> None:
        def search(question: str, /, *rest: int, **more: Any) -> None: ...

        named = Binder(search).name(("hi", 1), {"question": "other", "*rest": 2, "tone": "dry"})
        assert named == {
            "question": "hi",
            "*rest": (1,),
            "tone": "dry",
            "**more": {"question": "other", "*rest": 2},
        }

    def test_the_object_of_a_method_is_left_out_and_that_of_a_function_is_not(self) -> None:
        class Agent:
            def run(self, x: int) -> None: ...

        def run(self: Any, x: int) -> None: ...

        assert Binder(Agent.run).name((Agent(), 1), {}) == {"x": 1}
        assert Binder(run).name((1, 2), {}) == {"self": 1, "x": 2}

    @pytest.mark.parametrize("builtin", [print, max, dict.fromkeys])
    def test_a_builtin_is_named_as_far_as_it_says(self, builtin: Any) -> None:
        named = Binder(builtin).name((1, 2), {})
        assert [each for value in named.values() for each in (value if type(value) is tuple else (value,))] == [1, 2]
