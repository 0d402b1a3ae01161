"""The registry as its users meet it: in a file, in a store, live, in a trace and in a replay of it."""

from __future__ import annotations

import itertools
import json
import threading
import time

import pytest

from replay import PlanError, edit, replay
from router import Breaker, Consecutive, Guard, Registry, RegistryError, UnknownRole
from router.registry import Arm, Role
from tests import recording
from tests.recording import Project, step_named
from tracer import configure, step, workflow
from tracer.decisions import ARMS, decision_in
from tracer.guard import degraded
from tracer.store import open_store

project = recording.project


def until(condition, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {seconds} s"
        time.sleep(0.01)


@pytest.fixture(params=["file", "sqlite", "postgres"])
def place(request, tmp_path):
    """Where roles may be kept."""
    if request.param == "file":
        return tmp_path / "roles.toml"
    if request.param == "sqlite":
        return str(tmp_path / "shared.db")
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def registry(place):
    made = Registry(place)
    yield made
    made.close()


class TestARegistry:
    def test_says_who_has_a_role_and_since_when_by_whom_and_why(self, registry):
        registry.set("draft", production="a", by="ann")
        registry.set("draft", canary="b", share=10, because="cheaper", by="bob")
        registry.promote("draft", by="cat")
        registry.rollback("draft", because="worse", by="dan")
        assert [(each.by, each.verb, str(each.after), each.because) for each in registry.history("draft")] == [
            ("ann", "set", "a", ""),
            ("bob", "set", "a, b for 10 %", "cheaper"),
            ("cat", "promote", "b", ""),
            ("dan", "rollback", "a", "worse"),
        ]
        assert registry.entries()["draft"].role == Role(Arm("a"))

    def test_shows_a_change_of_another_one_at_once_or_nearly(self, place, registry):
        registry.set("draft", production="a")
        other = Registry(place)
        assert other.pick("draft").target == "a"
        registry.set("draft", production="b")
        until(lambda: other.pick("draft").target == "b", "picked up")
        other.close()

    def test_keeps_arms_with_what_they_are_run_with(self, registry):
        registry.set("draft", production=Arm("a", {"accept": 0.8}), canary=Arm("a", {"accept": 0.7}), share=100)
        until(lambda: dict(registry.pick("draft").settings) == {"accept": 0.7}, "picked up")

    def test_loses_no_change_of_two_who_make_them_at_once(self, place, registry):
        registry.set("draft", production="m")

        def change(name):
            mine = Registry(place)
            for number in range(5):
                mine.set("draft", production=f"{name}{number}", by=name)
            mine.close()

        threads = [threading.Thread(target=change, args=(name,)) for name in "ab"]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        changes = registry.history("draft")
        assert len(changes) == 11
        assert all(later.before == earlier.after for earlier, later in itertools.pairwise(changes))

    @pytest.mark.parametrize("verb", ["pick", "promote", "rollback", "history"])
    def test_says_which_role_it_does_not_have_and_which_it_has(self, registry, verb):
        registry.set("draft", production="a")
        until(lambda: registry.pick("draft"), "there")
        with pytest.raises(UnknownRole, match=r"no role 'draught' in .* \(it has draft\)"):
            getattr(registry, verb)("draught")

    def test_refuses_a_canary_without_production_and_a_share_without_a_canary(self, registry):
        with pytest.raises(UnknownRole):
            registry.set("draft", canary="b", share=10)
        with pytest.raises(RegistryError, match="without a canary"):
            registry.set("draft", production="a", share=10)
        assert registry.set("draft", production="a").after == Role(Arm("a"))


class TestAFile:
    def test_that_is_not_there_is_named_with_the_way_out(self, tmp_path):
        with pytest.raises(RegistryError, match=r"there is no .*roles\.toml; make it with: playhead roles set"):
            Registry(tmp_path / "roles.toml").pick("draft")

    def test_keeps_the_last_good_roles_through_an_edit_that_can_not_be_read_and_says_so(self, tmp_path, monkeypatch):
        monkeypatch.delenv("PLAYHEAD_STRICT", raising=False)
        path = tmp_path / "roles.toml"
        path.write_text('[draft]\nproduction = "a"\n')
        registry = Registry(path)
        assert registry.pick("draft").target == "a"
        path.write_text("[draft]\nproduction = \n")
        with pytest.warns(UserWarning, match=r"could not read an edit of roles\.toml"):
            assert registry.pick("draft").target == "a"
        assert "roles.toml can't be read" in str(registry.problem)
        with pytest.raises(RegistryError, match="can't be read"):
            registry.set("draft", production="b")
        path.write_text('[draft]\nproduction = "c"\n')
        assert registry.pick("draft").target == "c"
        assert registry.problem is None
        degraded.clear()

    def test_is_read_again_though_size_and_time_are_as_before(self, tmp_path):
        """An edit within the clock's grain puts another file in its place, which has another number."""
        path = tmp_path / "roles.toml"
        path.write_text('[draft]\nproduction = "a"\n')
        registry = Registry(path)
        registry.pick("draft")
        stamp = path.stat()
        other = tmp_path / "other"
        other.write_text('[draft]\nproduction = "b"\n')
        import os

        os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        other.replace(path)
        assert registry.pick("draft").target == "b"

    def test_keeps_its_mode_and_what_people_wrote_into_it(self, tmp_path):
        path = tmp_path / "roles.toml"
        path.write_text('# who does what\n[sort]\nproduction = "s" # cheap\n\n[draft]\nproduction = "a"\n')
        path.chmod(0o640)
        Registry(path).set("draft", canary="b", share=5)
        assert path.read_text() == (
            '# who does what\n[sort]\nproduction = "s" # cheap\n\n[draft]\nproduction = "a"\ncanary = "b"\nshare = 5\n'
        )
        assert path.stat().st_mode & 0o777 == 0o640

    def test_that_it_can_not_change_without_harm_is_left_alone(self, tmp_path):
        path = tmp_path / "roles.toml"
        before = 'draft = { production = "a" }\n'
        path.write_text(before)
        with pytest.raises((RegistryError, ValueError)):
            Registry(path).set("draft", production="b")
        assert path.read_text() == before


class TestAStore:
    def test_is_asked_nothing_for_a_pick(self, tmp_path):
        from sqlalchemy import event

        with open_store(tmp_path / "shared.db") as store:
            registry = Registry(store)
            registry.set("draft", production="a")
            until(lambda: registry.pick("draft"), "there")
            asked, main = [], threading.get_ident()
            event.listen(
                store._engine,
                "before_cursor_execute",
                lambda *told: asked.append(told[2]) if threading.get_ident() == main else None,
            )
            for _ in range(1000):
                registry.pick("draft", "user-1")
            registry.close()
        assert asked == []

    def test_that_was_closed_gives_no_role_of_it_to_the_next_one(self, project: Project):
        registry = Registry()
        try:
            registry.set("draft", production="first")
            assert registry.pick("draft").target == "first"
            registry.close()
            configure(database_url=f"sqlite:///{project.folder / 'other.db'}")
            registry.set("draft", production="second")
            assert registry.pick("draft").target == "second"
        finally:
            registry.close()

    def test_holds_what_another_wrote_as_plain_json(self, tmp_path):
        """The shape is agreed: `playhead tune` writes it too."""
        with open_store(tmp_path / "shared.db") as store:
            arm = {"target": "a", "settings": {"accept": 0.82}}
            assert store.share("role:draft", {"production": "a", "canary": arm, "share": 100}, version=0)
            registry = Registry(store)
            assert dict(registry.pick("draft").settings) == {"accept": 0.82}
            registry.promote("draft")
            assert store.shared("role:draft")["role:draft"].value["production"] == arm
            registry.close()


#: The registry of the test, which the workflows below use.
ROLES: list[Registry] = []


@step(kind="llm")
def ask(target: str) -> str:
    return f"said by {target}"


@workflow
def answer(user: str | None = None) -> str:
    return ask(ROLES[0].pick("draft", user).target)


@pytest.fixture
def roles(tmp_path):
    """A role of two arms, in a file that the workflow's module uses."""
    made = Registry(tmp_path / "roles.toml")
    made.set("draft", production="a", canary="b", share=50)
    ROLES.append(made)
    yield made
    ROLES.clear()


class TestWhatATraceSaysOfAPick:
    def test_is_arm_and_propensity_on_its_root_and_the_decision_on_a_step(self, roles, project: Project):
        roles.set("draft", production="a", canary="b", share=100)
        trace = project.record(answer, "user-1")
        assert trace.root.tags[ARMS] == {"draft": {"arm": "canary", "target": "b", "propensity": 1.0}}
        assert trace.summary.tags[ARMS] == trace.root.tags[ARMS]
        picked = step_named(trace, "pick draft")
        decision = decision_in(picked.tags)
        assert picked.kind == "router"
        assert decision is not None
        assert (decision.policy, decision.role, decision.arm, decision.propensity, decision.chosen) == (
            *("registry", "draft", "canary", 1.0),
            "b",
        )
        assert (decision.candidates, decision.reason) == (("a", "b"), "its key falls into canary's 100 %")
        assert project.value(picked, "input") == {"role": "draft", "key": "user-1"}

    def test_is_what_was_asked_for_where_there_is_no_such_role(self, roles, project: Project):
        @workflow
        def wrong():
            roles.pick("draught")

        trace = project.record(wrong)
        assert isinstance(project.raised, UnknownRole)
        assert step_named(trace, "pick draught").status == "failed"


class TestAReplayOfAPick:
    def test_takes_the_recorded_arm_whatever_the_role_is_now(self, roles, project: Project):
        trace = project.record(answer)
        recorded = project.value(trace.root)
        roles.set("draft", production="c")
        for verify in (False, True):  # served, and its code run again
            again = replay(trace.trace_id, verify=verify)
            assert (again.output, again.divergences) == (recorded, ())
            assert project.trace(again.trace_id).root.tags[ARMS] == trace.root.tags[ARMS]

    def test_takes_the_arm_that_an_edit_gives(self, roles, project: Project):
        trace = project.record(answer)
        for arm, target in (("canary", "b"), ("production", "a")):
            again = replay(trace.trace_id, edit("pick draft", {"arm": arm}), on_divergence="live")
            assert again.output == f"said by {target}"
            assert project.trace(again.trace_id).root.tags[ARMS] == {
                "draft": {"arm": arm, "target": target, "propensity": 0.5}
            }

    def test_refuses_an_edit_to_an_arm_that_is_not_there(self, roles, project: Project):
        roles.set("draft", production="a")
        trace = project.record(answer)
        again = None
        try:
            again = replay(trace.trace_id, edit("pick draft", {"arm": "canary"}))
        except PlanError as error:
            told = str(error)
        else:
            told = str(again.stopped)
        assert "no arm 'canary'" in told

    def test_of_another_key_falls_where_it_would_have_fallen_then(self, roles, project: Project):
        """The role as it was is recorded; only the key is another one."""
        keys = [f"user-{number}" for number in range(40)]
        arms = {key: roles.pick("draft", key).target for key in keys}
        one = next(key for key in keys if arms[key] == "a")
        other = next(key for key in keys if arms[key] == "b")

        trace = project.record(answers_for, "whoever")
        assert project.value(trace.root) is not None
        roles.set("draft", production="c")
        for key, target in ((one, "a"), (other, "b")):
            again = replay(trace.trace_id, edit("who", key), on_divergence="live")
            assert again.output == f"said by {target}"


@step
def who(name: str) -> str:
    return name


@workflow
def answers_for(name: str) -> str:
    return ask(ROLES[0].pick("draft", who(name)).target)


class TestAWatch:
    def test_takes_back_a_canary_that_fails_and_says_why(self, registry):
        registry.set("draft", production="a", canary="b", share=50)
        until(lambda: registry.role("draft").canary, "there")
        watch = registry.watch("draft", guard=Guard(at_least=20))
        for number in range(200):
            pick = registry.pick("draft", f"user-{number}")
            verdict = watch.saw(pick, failed=pick.arm == "canary")
            if verdict is not None and verdict.action == "rollback":
                break
        last = registry.history("draft")[-1]
        assert (last.verb, last.by, str(last.after)) == ("rollback", "watch", "a")
        assert last.because.startswith("failures: ")
        until(lambda: registry.pick("draft").candidates == {"production": "a"}, "taken back")

    def test_takes_it_back_once_and_leaves_what_somebody_set_meanwhile(self, registry):
        registry.set("draft", production="a", canary="b", share=50)
        until(lambda: registry.role("draft").canary, "there")
        breaker = Breaker("b", trip=Consecutive(1))
        watch = registry.watch("draft", breaker=breaker)
        pick = registry.pick("draft", "user-1")
        judged = registry.role("draft")
        breaker.admit().failed("429")
        registry.set("draft", production="a", canary="new", share=1)
        assert registry.rollback_if("draft", judged, because="late") is None
        until(lambda: registry.role("draft").canary == Arm("new"), "seen")
        assert watch.saw(pick, failed=True) is None
        assert [each.verb for each in registry.history("draft")] == ["set", "set"]

    def test_takes_it_back_when_its_breaker_opens(self, registry):
        registry.set("draft", production="a", canary="b", share=50)
        until(lambda: registry.role("draft").canary, "there")
        breaker = Breaker("b", trip=Consecutive(1))
        watch = registry.watch("draft", breaker=breaker)
        assert watch.saw(registry.pick("draft")).action == "keep"
        breaker.admit().failed("429")
        assert watch.saw(registry.pick("draft")).action == "rollback"
        assert registry.history("draft")[-1].because == "the canary's breaker is open"

    def test_changes_nothing_in_a_replay(self, roles, project: Project):
        trace = project.record(watched)
        roles.set("draft", production="a", canary="b", share=50)
        before = roles.history("draft")
        assert replay(trace.trace_id).output == "done"
        assert roles.history("draft") == before


BREAKER = Breaker("b", trip=Consecutive(1))


@workflow
def watched() -> str:
    BREAKER.admit().failed("429")
    ROLES[0].watch("draft", breaker=BREAKER).saw(ROLES[0].pick("draft"))
    BREAKER._circuit.become(Breaker("fresh")._circuit.state)
    return "done"


class TestTheHistoryOfAFile:
    def test_is_lines_of_json_beside_it(self, tmp_path):
        registry = Registry(tmp_path / "roles.toml")
        registry.set("draft", production="a", by="ann", because="first")
        (line,) = (tmp_path / "roles.toml.history").read_text().splitlines()
        told = json.loads(line)
        assert (told["role"], told["by"], told["to"], told["because"]) == ("draft", "ann", {"production": "a"}, "first")
