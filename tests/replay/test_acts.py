"""What an audit event announces, and what of it is nothing to the world."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from replay.acts import READERS, act_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    return tmp_path


class TestAnAct:
    @pytest.mark.parametrize(
        ("event", "args", "words"),
        [
            ("os.chown", ("there", 1, 1, -1), "change the owner of '{here}/there'"),
            ("os.setxattr", ("there", "user.note", b"x", 0), "change 'user.note' of '{here}/there'"),
            ("os.removexattr", (b"there", b"user.note"), "change 'user.note' of '{here}/there'"),
            ("os.exec", ("/bin/ls", ["ls"], None), "start the process ['ls']"),
            ("os.killpg", (7, 15), "send signal 15 to process 7"),
            ("open", ("new", "x", 0), "open '{here}/new' for writing"),
            ("open", ("there", None, os.O_RDWR), "open '{here}/there' for writing"),
            ("os.rename", ("there", "new", -1, -1), "move '{here}/there' to '{here}/new'"),
            ("socket.connect", (None, ("::1", 25, 0, 0)), "connect to [::1]:25"),
            ("socket.connect", (None, "/run/docker.sock"), "connect to '/run/docker.sock'"),
            ("socket.sendto", (None, ("localhost", 53)), "send to localhost:53"),
            ("sqlite3.connect", ("file:there?mode=rw",), "open the database '{here}/there'"),
        ],
    )
    def test_it_says_what_is_about_to_happen_and_where(self, here, event, args, words):
        act = act_of(event, args)
        assert act is not None
        assert act.words == words.format(here=here)

    def test_a_path_below_an_open_folder_is_whole(self, here):
        (here / "folder").mkdir()
        (here / "folder" / "file").touch()
        folder = os.open("folder", os.O_RDONLY)
        try:
            act = act_of("os.remove", ("file", folder))
        finally:
            os.close(folder)
        assert act is not None
        assert act.paths == (str(here.resolve() / "folder" / "file"),)

    def test_words_that_are_long_are_cut(self):
        act = act_of("os.system", ("x" * 100_000,))
        assert act is not None
        assert len(act.words) < 250

    @pytest.mark.parametrize(
        ("event", "args"),
        [
            ("open", ("there", "r", os.O_RDONLY | os.O_CLOEXEC)),
            ("open", (3, "w", os.O_WRONLY)),
            ("open", (".", "w", os.O_WRONLY)),
            ("os.mkdir", ("there", 0o777, -1)),
            ("os.remove", ("missing", -1)),
            ("os.rmdir", ("missing", -1)),
            ("os.rename", ("missing", "new", -1, -1)),
            ("os.chmod", ("missing", 0o600, -1)),
            ("os.truncate", (3, 0)),
            ("os.kill", (1, 0)),
            ("socket.connect", (None, "/dev/log")),
            ("socket.sendmsg", (None, None)),
            ("sqlite3.connect", (":memory:",)),
            ("sqlite3.connect", ("file:there?immutable=1",)),
        ],
    )
    def test_what_only_reads_or_comes_to_nothing_is_none(self, here, event, args):
        assert act_of(event, args) is None


class TestTheTable:
    def test_its_events_are_such_as_the_interpreter_raises(self, here, monkeypatch):
        """By trying two of which the arguments are not documented: a reader that takes others would be no reader."""
        told = []
        open_ = [True]
        sys.addaudithook(lambda event, args: told.append((event, args)) if open_[0] and event in READERS else None)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, socket.socket(socket.AF_INET) as caller:
            sender.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))
            caller.connect_ex(("127.0.0.1", 9))
        os.utime("there")
        open_[0] = False
        assert [act_of(*each).words for each in told] == [
            "send to 127.0.0.1:9",
            "connect to 127.0.0.1:9",
            f"change the times of '{here}/there'",
        ]
