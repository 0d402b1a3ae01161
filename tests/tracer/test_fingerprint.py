from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from tests.recording import ROOT
from tracer.fingerprint import PREFIX, comparable, fingerprint

BASE = """
import functools, threading, re
PROMPT = "Be kind."
LOCK = threading.Lock()
LIMITS = {"tokens": 5, "words": {"b", "a", "c"}}

def helper(x):
    return deeper(x) + 1

def deeper(x):
    return x * 2

def partner(n):
    return flow(n) if n else 0

class Agent:
    greeting = "hi"

    def __init__(self, name):
        self.name = name

    def greet(self):
        return self.own() + "!"

    def own(self):
        return "hello"

    def unrelated(self):
        return 1

AGENT = Agent("ann")

def flow(text, k=3, *, deep=False):
    if k:
        return [word for word in text.split() if word not in {"a", "b", "c"}], PROMPT, helper(k), LIMITS, LOCK
    return partner(0), sorted(text, key=lambda c: (c, 1)), AGENT.greet(), Agent("x")
"""


def module(source: str, name: str = "pipeline", file: str = "pipeline.py") -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(source, file, "exec"), made.__dict__)
    return made


def taken(source: str, name: str = "flow") -> str:
    return fingerprint(getattr(module(source), name))


class TestWhatChangesIt:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("if k:", "if not k:"),
            ("k=3", "k=4"),
            ("deep=False", "deep=True"),
            ('PROMPT = "Be kind."', 'PROMPT = "Be terse."'),
            ('"tokens": 5', '"tokens": 6'),
            ('{"b", "a", "c"}}', '{"b", "a"}}'),
            ("deeper(x) + 1", "deeper(x) + 2"),
            ("x * 2", "x * 3"),
            ('not in {"a", "b", "c"}', 'not in {"a", "b"}'),
            ("(c, 1)", "(c, 2)"),
            ("if n else 0", "if n else 1"),
            ('return self.own() + "!"', 'return self.own() + "?"'),
            ('return "hello"', 'return "bye"'),
            ("self.name = name", "self.name = name * 2"),
        ],
    )
    def test_code_constants_and_what_is_named(self, old: str, new: str) -> None:
        assert old in BASE
        assert taken(BASE) != taken(BASE.replace(old, new))

    def test_a_closure_value_and_a_partial(self) -> None:
        def make(word: str) -> Any:
            return lambda: word

        assert fingerprint(make("a")) != fingerprint(make("b"))
        assert fingerprint(make("a")) == fingerprint(make("a"))
        assert fingerprint(functools.partial(make, "a")) != fingerprint(functools.partial(make, "b"))

    def test_a_value_and_a_function_of_another_module_of_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        source = "from pipeline import parts\ndef flow():\n    return parts.PROMPT, parts.clean()\n"

        def flow_with(parts: str) -> str:
            package, inner = types.ModuleType("pipeline"), module(parts, "pipeline.parts")
            package.parts = inner  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, "pipeline", package)
            monkeypatch.setitem(sys.modules, "pipeline.parts", inner)
            return fingerprint(module(source, "pipeline.main").flow)

        base = "PROMPT = 'a'\ndef clean():\n    return 1\n"
        assert flow_with(base) == flow_with(f"OTHER = 1\n{base}")
        assert flow_with(base) != flow_with(base.replace("'a'", "'b'"))
        assert flow_with(base) != flow_with(base.replace("return 1", "return 2"))

    def test_a_method_of_its_own_class(self) -> None:
        source = "class Agent:\n    def run(self):\n        return self.part()\n    def part(self):\n        return 1\n"
        one, other = module(source), module(source.replace("return 1", "return 2"))
        assert fingerprint(one.Agent.run) != fingerprint(other.Agent.run)

    def test_a_handler_of_exceptions(self) -> None:
        source = "def flow(x):\n    try:\n        a(x)\n        b(x)\n    except ValueError:\n        pass\n"
        moved = "def flow(x):\n    a(x)\n    try:\n        b(x)\n    except ValueError:\n        pass\n"
        assert taken(source) != taken(moved)


class TestWhatDoesNot:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("    if k:", "    # a remark\n\n    if k:"),
            ("deep=False):", 'deep=False):\n    """Documented now."""'),
            ("def deeper(x):", 'def deeper(x):\n    """Documented, too."""'),
            ("    def own(self):", '    def own(self):\n        """And this."""'),
            ("import functools", "\n\n\nimport functools"),
            ("return 1\n", "return 2\n"),
            ('Agent("ann")', 'Agent("bob")'),
        ],
    )
    def test_comments_docstrings_lines_and_what_is_not_named(self, old: str, new: str) -> None:
        assert old in BASE
        assert taken(BASE) == taken(BASE.replace(old, new))

    def test_a_docstring_where_none_is_a_constant_too(self) -> None:
        source = "def flow(x):\n    {doc}y = None\n    return (x, y, None, 1.5)\n"
        assert taken(source.format(doc="")) == taken(source.format(doc="'doc'\n    "))

    def test_the_file_and_the_name_of_the_main_module(self) -> None:
        named = [module(BASE, "__main__", "a.py"), module(BASE, "__mp_main__", "/b/c.py")]
        assert fingerprint(named[0].flow) == fingerprint(named[1].flow)

    def test_a_global_that_the_function_sets_is_its_state(self) -> None:
        made = module("COUNT = 0\ndef flow():\n    global COUNT\n    COUNT += 1\n")
        before = fingerprint(made.flow)
        made.flow()
        assert fingerprint(made.flow) == before

    def test_another_process_with_other_hashes(self, tmp_path: Path) -> None:
        (tmp_path / "pipeline.py").write_text(BASE)
        told = {
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import pipeline; from tracer.fingerprint import fingerprint as f; print(f(pipeline.flow))",
                ],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(told) == 1

    def test_decorators_are_looked_through(self) -> None:
        def plain() -> int:
            return 1

        @functools.wraps(plain)
        def around() -> int:
            return plain()

        assert fingerprint(around) == fingerprint(plain) == fingerprint(functools.lru_cache(plain))


class TestAnyFunction:
    def test_recursion_and_each_other_come_to_an_end(self) -> None:
        made = module("def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n")
        assert fingerprint(made.even) != fingerprint(made.odd)

    def test_objects_that_answer_to_everything_are_left_alone(self) -> None:
        class Proxy:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(f"asked for {name}")

            @property
            def __class__(self) -> Any:
                raise RuntimeError("asked for the class")

        made = module("def flow():\n    return proxy, cyclic, lock\n")
        cyclic: list[Any] = []
        cyclic.append(cyclic)
        vars(made).update(proxy=Proxy(), cyclic=cyclic, lock=threading.Lock())
        assert fingerprint(made.flow).startswith(PREFIX)

    @pytest.mark.parametrize(
        "called", [len, functools.partial(len), print.__call__, type("C", (), {"__call__": lambda s: 1})()]
    )
    def test_what_is_no_function_has_one_as_well(self, called: Any) -> None:
        assert fingerprint(called) == fingerprint(called)

    def test_only_those_of_one_format_are_compared(self) -> None:
        assert comparable("f1-py3.11:aa", "f1-py3.11:bb")
        assert not comparable("f1-py3.11:aa", "f1-py3.12:aa")
        assert not comparable(None, "f1-py3.11:aa")
