from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

from tracer.key import store_key


class TestTheKey:
    def test_is_made_once_and_read_from_then_on(self, tmp_path):
        key = store_key(tmp_path / "home")
        assert len(key) == 32
        assert store_key(tmp_path / "home") == key

    def test_is_another_one_in_another_home(self, tmp_path):
        assert store_key(tmp_path / "one") != store_key(tmp_path / "other")

    def test_is_for_its_owner_alone(self, tmp_path):
        store_key(tmp_path / "home")
        assert stat.S_IMODE((tmp_path / "home" / "key").stat().st_mode) == 0o600

    def test_is_the_same_for_all_who_make_it_at_once_and_leaves_nothing_beside_it(self, tmp_path):
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(store_key, [tmp_path / "home"] * 32))
        assert len(keys) == 1
        assert [path.name for path in (tmp_path / "home").iterdir()] == ["key"]
