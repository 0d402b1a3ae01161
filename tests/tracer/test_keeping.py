"""What is kept of a value: by level, by type, by size; changed while workflows run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracer
from tests import recording
from tests.recording import Project, path_of, step_named
from tracer import codec, effect, span, step, workflow
from tracer.bounds import bounded
from tracer.errors import ConfigError

#: Every test here records into a project of its own.
project = recording.project


@dataclass
class Account:
    owner: str
    secret_number: str


@step
def look_up(name: str, account: Account | None = None) -> str:
    return deeper(name)


@step
def deeper(name: str) -> str:
    return f"found {name}"


@effect
def send(to: str) -> str:
    return f"sent to {to}"


@workflow
def support(name: str, account: Account | None = None) -> str:
    with span("notes", input=name) as notes:
        notes.output = name
    return look_up(name, account) + send(name)


class TestALevelOfCapture:
    def test_off_leaves_the_step_out_and_its_children_go_to_the_step_around_it(self, project: Project) -> None:
        tracer.configure(capture={"look_up": "off"})
        assert path_of(project.record(support, "ann")) == ["support", "support/notes", "support/deeper", "support/send"]

    def test_metadata_keeps_the_step_without_its_contents_and_those_inside_it(self, project: Project) -> None:
        tracer.configure(capture={"look_*": "metadata"})
        trace = project.record(support, "ann-from-aachen")
        assert [step.output is not None for step in trace.steps] == [True, True, False, False, True]
        assert step_named(trace, "deeper").outcome == "ok"

    def test_off_for_a_workflow_leaves_its_traces_out(self, project: Project) -> None:
        tracer.configure(capture="off")
        assert support("ann") == "found annsent to ann"
        assert project.traces() == []

    def test_off_for_an_effect_means_metadata(self, project: Project) -> None:
        tracer.configure(capture={"send": "off"})
        sent = step_named(project.record(support, "ann"), "send")
        assert (sent.effect, sent.output) == (True, None)

    def test_of_a_span_is_set_by_its_name(self, project: Project) -> None:
        tracer.configure(capture={"notes": "off"})
        assert "support/notes" not in path_of(project.record(support, "ann"))

    @pytest.mark.parametrize("lower", ["decorator", "setting"])
    def test_that_is_the_lowest_holds(self, project: Project, lower: str) -> None:
        levels = {"decorator": ("metadata", "full"), "setting": ("full", "metadata")}
        on_step, in_settings = levels[lower]
        inner = step(capture=on_step, name="inner")(lambda: "told")  # type: ignore[call-overload]
        tracer.configure(capture={"inner": in_settings})
        assert step_named(project.record(workflow(name="flow")(inner)), "inner").output is None

    def test_comes_from_the_environment_as_well(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_CAPTURE", "look_up=off, deeper = metadata")
        trace = project.record(support, "ann")
        assert "support/look_up" not in path_of(trace)
        assert step_named(trace, "deeper").output is None

    def test_changes_while_a_workflow_runs(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            deeper("before")
            tracer.configure(capture={"deeper": "metadata"})
            deeper("after")

        trace = project.record(flow)
        assert [project.value(step) for step in trace.steps[1:]] == ["found before", None]

    @pytest.mark.parametrize("wrong", ["some", {"draft": "none"}], ids=["for all", "for one"])
    def test_that_does_not_exist_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match="it takes full, metadata or off"):
            tracer.configure(capture=wrong)

    def test_that_does_not_exist_is_refused_at_the_decorator_by_the_steps_name(self) -> None:
        with pytest.raises(ConfigError, match="deeper: capture is 'none'"):
            step(capture="none")(deeper)  # type: ignore[call-overload]


class TestAClassThatIsSecret:
    def test_never_reaches_the_disk_and_leaves_its_name(self, project: Project) -> None:
        tracer.configure(redact=[Account])
        trace = project.record(support, "ann", Account("ann", "4711-0815"))
        kept = project.value(trace.steps[0], "input")["account"]
        assert (kept.text, "Account" in kept.type) == ("[redacted: by type]", True)
        tracer.flush()
        assert b"4711-0815" not in project.raw()

    def test_is_found_inside_other_values_and_in_results(self, project: Project) -> None:
        tracer.configure(redact=Account)
        given = workflow(name="given")(lambda: {"of": [(Account("ann", "4711-0815"), 1)]})
        trace = project.record(given)
        assert "4711-0815" not in repr(project.value(trace.steps[0]))

    def test_does_not_change_what_inputs_are_matched_by(self, project: Project) -> None:
        account = Account("ann", "4711-0815")
        plain = project.record(support, "ann", account).steps[0].identity
        tracer.configure(redact=Account)
        assert project.record(support, "ann", account).steps[0].identity == plain
        assert project.record(support, "ann", Account("ann", "1")).steps[0].identity != plain

    def test_can_be_no_builtin(self) -> None:
        with pytest.raises(ConfigError, match="classes of your own, not str"):
            tracer.configure(redact=[str])


class TestAValuePastTheLimit:
    def test_is_cut_where_it_is_long_and_says_so(self, project: Project) -> None:
        tracer.configure(max_value_bytes=10_000)
        trace = project.record(workflow(name="flow")(lambda document, mode: mode), "word " * 10_000, "fast")
        ref = trace.steps[0].input
        assert ref is not None
        assert ref.size <= 10_000
        assert ref.lossy == ("$.document (cut)",)
        kept = project.value(trace.steps[0], "input")
        assert kept["mode"] == "fast"
        assert kept["document"].text.startswith("word word")
        assert kept["document"].text.endswith("of 50,000 characters)")

    def test_reaches_the_user_whole(self, project: Project) -> None:
        tracer.configure(max_value_bytes=1_000)
        assert workflow(name="flow")(lambda: "x" * 5_000)() == "x" * 5_000

    def test_keeps_the_identity_of_the_whole(self, project: Project) -> None:
        flow = workflow(name="flow")(lambda document: None)
        whole = project.record(flow, "x" * 5_000).steps[0].identity
        tracer.configure(max_value_bytes=1_000)
        assert project.record(flow, "x" * 5_000).steps[0].identity == whole
        assert project.record(flow, "x" * 5_001).steps[0].identity != whole

    def test_loses_its_secrets_before_it_is_cut(self, project: Project) -> None:
        tracer.configure(max_value_bytes=1_000)
        key = "sk-" + "a1B2c3D4" * 5
        for place in range(300, 900, 45):  # the cut falls before, into and behind it
            project.record(workflow(name="flow")(lambda text: None), "y" * place + " " + key + " " + "z" * 3_000)
        assert b"a1B2c3D4" not in project.raw()

    def test_of_which_no_part_is_long_is_marked_as_a_whole(self) -> None:
        kept, paths = bounded(codec.encode(list(range(100_000))).data, 5_000)
        assert paths == ("$ (cut)",)
        assert "the limit is 5,000" in codec.decode(kept).text

    @pytest.mark.parametrize("wrong", [10, -1, "much"])
    def test_needs_a_limit_that_can_be(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match="max_value_bytes is"):
            tracer.configure(max_value_bytes=wrong)


_LONG = st.recursive(
    st.text(max_size=20).map(lambda text: text * 60)
    | st.binary(max_size=20).map(lambda data: data * 60)
    | st.integers(0, 9),
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=5), parts, max_size=4) | st.tuples(parts)
    ),
    max_leaves=12,
)


class TestBounded:
    @given(_LONG, st.integers(1_000, 4_000))
    def test_fits_and_can_be_read_whatever_the_value(self, value: Any, most_bytes: int) -> None:
        data = codec.encode(value).data
        kept, paths = bounded(data, most_bytes)
        assert len(kept) <= most_bytes or len(data) <= most_bytes
        codec.decode(kept)
        assert bool(paths) or codec.decode(kept) == value
