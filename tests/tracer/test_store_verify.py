"""``playhead verify``: everything that is stored can be given back, or it is named."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, select, update

import tracer
from tests import recording
from tests.builders import Story
from tests.recording import Project
from tracer import workflow
from tracer.store import Store
from tracer.store.bodies import address_of, digest_in
from tracer.store.check import Checked, Damage
from tracer.store.packs import LIST, NODE, WHOLE
from tracer.store.tables import packs, payloads
from tracer.verify import verify_command

project = recording.project
chance = random.Random(5)


def words(length: int) -> str:
    return "".join(chance.choices("abcdefghij klmnop qrstuv wxyz ", k=length))


def told() -> Story:
    """A trace with payloads of all forms: whole, in pieces, lists in lists, a blob in base64, and a failure."""
    talk = [{"role": "user", "content": words(400)} for _ in range(150)]
    image = "data:image/png;base64," + base64.b64encode(chance.randbytes(5_000)).decode()
    story = Story(input={"messages": talk})
    story.step("look", input={"image": image}, output="short")
    story.step("draft", input={"messages": talk[40:]}, error=ValueError("no"))
    return story.finish()


@pytest.fixture
def full(store: Store) -> Store:
    store.apply(told().events, owner="me")
    return store


def damage(store: Store, statement: Any) -> Checked:
    with store._engine.begin() as connection:
        connection.execute(statement)
    return store.check()


def digest_of_form(store: Store, form: int) -> bytes:
    with store._engine.connect() as connection:
        return connection.execute(select(payloads.c.digest).where(payloads.c.form == form).limit(1)).scalar_one()


class TestCheck:
    def test_what_was_recorded_is_whole(self, full: Store) -> None:
        checked = full.check()
        assert checked.damaged == ()
        assert checked.bodies == full.facts().payloads
        with full._engine.connect() as connection:
            assert set(connection.execute(select(payloads.c.form)).scalars()) == {WHOLE, LIST, NODE}

    def test_a_store_without_traces_is_whole(self, store: Store) -> None:
        assert store.check() == Checked(0, ())

    def test_a_torn_pack_costs_what_lies_in_it(self, full: Store) -> None:
        trace = full.trace(full.resolve("latest"))
        checked = damage(full, update(packs).values(body=b"\x28\xb5\x2f\xfdtorn"))
        assert {each.problem for each in checked.damaged} == {"its pack is missing or torn"}
        users = {user for each in checked.damaged for user in each.used_by}
        root = trace.root
        assert f"{trace.trace_id}/{root.step_id} input" in users
        assert f"{trace.trace_id}/{trace.steps[2].step_id} failure" in users
        assert full.payloads([root.input.digest]) == {}
        with pytest.raises(Exception, match=f"the payload {root.input.digest} is not in"):
            full.value(root.input)
        assert full.trace(trace.trace_id).steps[2].failure.type == "ValueError"

    def test_bytes_that_changed_are_found_by_their_digest(self, full: Store) -> None:
        with full._engine.begin() as connection:
            row = connection.execute(select(payloads).where(payloads.c.form == WHOLE).limit(1)).one()
        checked = damage(full, update(payloads).where(payloads.c.digest == row.digest).values(start=row.start + 1))
        assert Damage(address_of(row.digest), "its bytes have changed", ()) in [
            Damage(each.address, each.problem, ()) for each in checked.damaged
        ]

    @pytest.mark.parametrize("form", [WHOLE, NODE], ids=["piece", "node"])
    def test_a_part_that_is_gone_is_named_by_those_that_need_it(self, full: Store, form: int) -> None:
        trace = full.trace(full.resolve("latest"))
        checked = damage(full, delete(payloads).where(payloads.c.form == form))
        root = trace.root.input.digest
        (lost,) = (each for each in checked.damaged if each.address == root)
        assert lost.problem.startswith("its piece b2:")
        assert lost.used_by == (f"{trace.trace_id}/{trace.root.step_id} input",)
        assert full.payloads([root]) == {}

    def test_a_list_that_names_other_pieces_is_found(self, full: Store) -> None:
        ref = full.trace(full.resolve("latest")).steps[2].input
        other = full.trace(full.resolve("latest")).root.input
        with full._engine.connect() as connection:
            place = connection.execute(select(payloads).where(payloads.c.digest == digest_in(other.digest))).one()
        columns = {"pack": place.pack, "start": place.start, "length": place.length, "size": place.size}
        checked = damage(full, update(payloads).where(payloads.c.digest == digest_in(ref.digest)).values(**columns))
        assert [each.address for each in checked.damaged] == [ref.digest]
        assert checked.damaged[0].problem == "its pieces are not what they were"

    def test_a_list_without_end_is_found_and_harms_nobody(self, full: Store) -> None:
        root = full.trace(full.resolve("latest")).root.input.digest
        body = b"\x01" + digest_in(root)
        with full._engine.begin() as connection:
            connection.execute(packs.insert(), {"id": 1, "size": len(body), "encoding": "raw", "body": body})
        place = {"pack": 1, "start": 0, "length": len(body)}
        checked = damage(full, update(payloads).where(payloads.c.digest == digest_in(root)).values(**place))
        assert root in [each.address for each in checked.damaged]
        assert full.payloads([root]) == {}

    def test_a_payload_that_no_step_can_find_is_missing(self, full: Store) -> None:
        trace = full.trace(full.resolve("latest"))
        digest = trace.steps[1].output.digest
        checked = damage(full, delete(payloads).where(payloads.c.digest == digest_in(digest)))
        assert checked.damaged == (
            Damage(digest, "it is not in the store", (f"{trace.trace_id}/{trace.steps[1].step_id} output",)),
        )


def run(*words: str) -> Result:
    return CliRunner().invoke(verify_command, words)


class TestCommand:
    @pytest.fixture
    def recorded(self, project: Project) -> Project:
        @workflow
        def flow(text: str) -> str:
            return text.upper()

        flow("card")
        assert tracer.flush()
        return project

    def test_a_whole_store_exits_with_0(self, recorded: Project) -> None:
        ran = run()
        assert (ran.exit_code, ran.output) == (0, "2 checked, 0 damaged, 0 totals wrong\n")
        assert json.loads(run("--json").stdout) == {"bodies": 2, "damaged": [], "drifts": []}

    def test_damage_is_named_and_exits_with_1(self, recorded: Project) -> None:
        with sqlite3.connect(recorded.home / "playhead.db") as connection:
            connection.execute("UPDATE payloads SET start = start + 1")
            connection.execute("UPDATE traces SET steps = 7")
        connection.close()
        ran = run()
        assert ran.exit_code == 1
        assert "its bytes have changed (used by " in ran.output
        assert "steps is 7 and adds up to 1" in ran.output
        told = json.loads(run("--json").stdout)
        assert len(told["damaged"]) >= 1
        assert told["drifts"][0]["column"] == "steps"

    def test_it_is_one_of_playheads_commands(self) -> None:
        from tests.test_architecture import PROJECT

        assert PROJECT["project"]["entry-points"]["playhead.commands"]["verify"] == "tracer.verify:verify_command"
