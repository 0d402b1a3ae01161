"""The examples of docs/breakers.md and docs/canaries.md run, and print what stands below them."""

from __future__ import annotations

import re

import pytest

from tests.recording import ROOT, Project, project  # noqa: F401 - a fixture that every test here uses

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples():
    """The blocks that print something, with the comments that say what."""
    for page in ("breakers", "canaries"):
        blocks = FENCE.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        for number, block in enumerate(block for block in blocks if "print(" in block):
            printed = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
            yield pytest.param(block, printed, id=f"{page}-{number}")


@pytest.mark.parametrize(("block", "printed"), list(examples()))
def test_an_example_prints_what_it_says(block, printed, project: Project):  # noqa: F811 - the fixture
    done = project.python(block)
    assert done.stderr == ""
    assert done.stdout.splitlines() == printed
