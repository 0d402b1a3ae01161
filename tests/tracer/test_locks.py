from __future__ import annotations

import os
from pathlib import Path

from tracer.locks import alone, let_go, locked, opened


class TestALock:
    def test_is_held_by_one_at_a_time(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with alone(path):
            other = opened(path)
            assert not locked(other)
        assert locked(other)
        let_go(other)

    def test_is_not_kept_by_a_child_that_was_forked_meanwhile(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        is_forked, forked = os.pipe()
        has_looked, looked = os.pipe()
        with alone(path):
            child = os.fork()
            if child == 0:
                os.close(looked)
                os.write(forked, b"!")
                os.read(has_looked, 1)
                os._exit(0)
        os.read(is_forked, 1)
        other = opened(path)
        try:
            assert locked(other)
        finally:
            let_go(other)
            for end in (is_forked, forked, has_looked, looked):
                os.close(end)
            assert os.waitpid(child, 0)[1] == 0

    def test_of_a_directory_needs_no_file(self, tmp_path: Path) -> None:
        with alone(tmp_path, os.O_DIRECTORY):
            assert list(tmp_path.iterdir()) == []
