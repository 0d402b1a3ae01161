"""A Postgres behind a pooler that gives every transaction another connection, as pgbouncer does in transaction mode."""

from __future__ import annotations

import pytest

from tests.builders import Story
from tracer.errors import StoreUnreachable
from tracer.store import open_store


def asked(url: str, setting: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}prepare_threshold={setting}"


class TestBehindAPooler:
    def test_who_prepares_statements_is_told_the_way_out(self, postgres_url: str) -> None:
        with open_store(postgres_url) as store:
            with store._engine.connect() as connection:
                # as one of the pooler's other clients left it on this connection
                connection.exec_driver_sql("PREPARE _pg3_0 AS SELECT 1")
                connection.commit()
            with pytest.raises(StoreUnreachable, match=r"shares connections: add \?prepare_threshold=none to its URL"):
                for _ in iter(store.traces, None):
                    pass

    def test_who_is_told_to_prepare_none_reads_and_writes(self, postgres_url: str) -> None:
        with open_store(asked(postgres_url, "none")) as store:
            with store._engine.connect() as connection:
                connection.exec_driver_sql("PREPARE _pg3_0 AS SELECT 1")
                connection.commit()
            for number in range(20):
                store.apply(Story(f"flow {number}").finish().events, owner="me")
                assert len(store.traces()) == number + 1

    def test_a_setting_that_is_no_number_of_times_is_refused(self, postgres_url: str) -> None:
        with pytest.raises(StoreUnreachable, match="is a number of times, or none; not 'often'"):
            open_store(asked(postgres_url, "often"))
