"""An exception is told as it happened, whatever it does when it is looked at."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tracer.codec import decode, encode
from tracer.failures import failure_of


def caught(function: Any, *args: Any) -> BaseException:
    with pytest.raises(BaseException) as raised:
        function(*args)
    return raised.value


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    """A user's module on disk."""
    file = tmp_path / "pipeline.py"
    file.write_text(
        "import json\n\n\n"
        "def classify(text):\n"
        "    prompt = text\n"
        "    # ask\n"
        "    return json.loads(prompt)\n"
        "    # never reached\n\n\n"
        "def run(text):\n"
        "    return classify(text)\n\n\n"
        "def sink(levels):\n"
        "    if levels == 0:\n"
        "        raise ValueError('bottom')\n"
        "    sink(levels - 1)\n"
    )
    spec = importlib.util.spec_from_file_location("pipeline", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class TestWhatFailed:
    def test_the_class_the_words_and_the_notes_are_kept(self):
        error = json.JSONDecodeError("Expecting value", "x", 0)
        error.add_note("while reading the answer")
        failure = failure_of(error)
        assert (failure.type, failure.module) == ("JSONDecodeError", "json.decoder")
        assert failure.message == "Expecting value: line 1 column 1 (char 0)"
        assert failure.notes == ("while reading the answer",)

    def test_a_str_that_raises_is_told_instead(self):
        assert failure_of(Wordless()).message == "<Wordless whose str raised RuntimeError>"

    def test_a_very_long_message_is_cut(self):
        assert len(failure_of(ValueError("x" * 1_000_000)).message) < 10_000

    def test_notes_that_are_no_notes_are_left_out(self):
        error = ValueError("x")
        error.__notes__ = 5
        assert failure_of(error).notes == ()

    def test_it_is_a_plain_value_that_the_codec_keeps(self, pipeline):
        failure = failure_of(caught(pipeline.run, "{"))
        encoded = encode(failure)
        assert encoded.lossy == ()
        assert decode(encoded.data) == failure


class TestWhere:
    def test_frames_run_from_the_outermost_to_the_innermost(self, pipeline):
        failure = failure_of(caught(pipeline.run, "{"))
        names = [frame.function for frame in failure.frames]
        assert names[names.index("run") :][:3] == ["run", "classify", "loads"]
        assert failure.frames_omitted == 0

    def test_code_of_the_standard_library_and_of_packages_is_not_ones_own(self, pipeline):
        frames = failure_of(caught(pipeline.run, "{")).frames
        own = {frame.function: frame.own for frame in frames}
        assert (own["run"], own["classify"], own["loads"]) == (True, True, False)
        import pydantic

        class Model(pydantic.BaseModel):
            x: int

        assert [frame.own for frame in failure_of(caught(Model.model_validate, {"x": "y"})).frames][-1] is False

    def test_our_own_floors_are_not_the_users_code(self):
        from tracer.catalogue import Catalogue

        frames = failure_of(caught(Catalogue().get, "nobody")).frames
        assert (frames[-1].function, frames[-1].own) == ("Catalogue.get", False)

    def test_the_last_own_frame_carries_three_lines_on_either_side(self, pipeline):
        frames = failure_of(caught(pipeline.run, "{")).frames
        with_source = [frame for frame in frames if frame.source]
        assert [frame.function for frame in with_source] == ["classify"]
        assert with_source[0].source == (
            (4, "def classify(text):"),
            (5, "    prompt = text"),
            (6, "    # ask"),
            (7, "    return json.loads(prompt)"),
            (8, "    # never reached"),
            (9, ""),
            (10, ""),
        )

    def test_source_that_is_gone_is_left_out(self):
        error = caught(lambda: exec(compile("1 / 0", "/nowhere/gone.py", "exec")))
        last = failure_of(error).frames[-1]
        assert (last.file, last.line, last.own, last.source) == ("/nowhere/gone.py", 1, True, ())

    def test_a_deep_traceback_keeps_its_two_ends(self, pipeline):
        failure = failure_of(caught(pipeline.sink, 500))
        assert len(failure.frames) == 60
        assert failure.frames_omitted >= 440
        assert failure.frames[-1].source != ()

    def test_an_exception_that_was_never_raised_has_no_frames(self):
        assert failure_of(ValueError("x")).frames == ()


class TestWhy:
    def test_an_explicit_cause_is_told_apart_from_a_context(self):
        def explicit() -> None:
            raise ValueError("above") from KeyError("below")

        def implicit() -> None:
            try:
                {}["below"]
            finally:
                raise ValueError("above")

        by_cause, by_context = failure_of(caught(explicit)), failure_of(caught(implicit))
        assert by_cause.cause is not None
        assert by_context.cause is not None
        assert (by_cause.cause.type, by_cause.cause_is_explicit) == ("KeyError", True)
        assert (by_context.cause.type, by_context.cause_is_explicit) == ("KeyError", False)

    def test_a_suppressed_context_is_left_out(self):
        def suppressed() -> None:
            try:
                {}["below"]
            except KeyError:
                raise ValueError("above") from None

        assert failure_of(caught(suppressed)).cause is None

    def test_causes_that_run_in_a_circle_end(self):
        first, second = ValueError(1), ValueError(2)
        first.__cause__, second.__cause__ = second, first
        failure = failure_of(first)
        assert failure.cause is not None
        assert failure.cause.cause is None

    def test_a_long_chain_of_causes_is_cut(self):
        error: BaseException = ValueError(0)
        for number in range(1_000):
            above = ValueError(number)
            above.__cause__ = error
            error = above
        depth, failure = 0, failure_of(error)
        while failure is not None:
            depth, failure = depth + 1, failure.cause
        assert depth == 9

    def test_the_parts_of_a_group_are_kept(self):
        inner = ExceptionGroup("inner", [KeyError("k")])
        failure = failure_of(ExceptionGroup("outer", [ValueError("v"), inner]))
        assert failure.message == "outer"
        assert [part.type for part in failure.group] == ["ValueError", "ExceptionGroup"]
        assert failure.group[1].group[0].message == "'k'"

    def test_a_group_of_very_many_is_cut(self):
        failure = failure_of(ExceptionGroup("many", [ValueError(number) for number in range(5_000)]))
        assert 0 < len(failure.group) <= 20

    def test_an_exception_that_is_reached_twice_is_told_once(self):
        error: BaseException = ValueError("core")
        for _ in range(12):
            group = ExceptionGroup("g", [error, ValueError("x")])  # type: ignore[list-item]
            group.__cause__ = error
            error = group
        assert len(encode(failure_of(error)).data) < 10_000
