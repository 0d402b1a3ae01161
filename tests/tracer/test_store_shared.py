"""Values that processes share beside the traces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tracer.store import Store


class TestASharedValue:
    def test_is_found_by_the_beginning_of_its_name(self, store: Store) -> None:
        assert store.share("role:draft", {"arm": "a"}, version=0)
        assert store.share("role:sort", ["b"], version=0)
        assert store.share("breaker:a", 7, version=0)
        assert {name: one.value for name, one in store.shared("role:").items()} == {
            "role:draft": {"arm": "a"},
            "role:sort": ["b"],
        }

    def test_is_found_by_its_name_as_it_is_written(self, store: Store) -> None:
        assert store.share("Role:a", 1, version=0)
        assert store.share("role%a", 2, version=0)
        assert set(store.shared("role")) == {"role%a"}
        assert set(store.shared("r%")) == set()

    def test_is_changed_only_by_who_saw_it_last(self, store: Store) -> None:
        assert store.share("role:draft", "a", version=0)
        assert not store.share("role:draft", "b", version=0)
        assert store.share("role:draft", "c", version=1)
        assert not store.share("role:draft", "d", version=1)
        (kept,) = store.shared("role:").values()
        assert (kept.value, kept.version) == ("c", 2)

    def test_counts_right_however_many_change_it_at_once(self, store: Store) -> None:
        def add(_: int) -> None:
            while True:
                seen = store.shared("count").get("count")
                if store.share("count", 1 + (seen.value if seen else 0), version=seen.version if seen else 0):
                    return

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(add, range(40)))
        assert store.shared("count")["count"].value == 40
