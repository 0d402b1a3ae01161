"""The examples on the router's pages run as they stand there."""

from __future__ import annotations

import re

import pytest

from tests import recording
from tests.recording import Project
from tests.sources import REPOSITORY

project = recording.project


@pytest.mark.parametrize("page", ["calling", "deciding"])
def test_the_example_runs_as_it_stands_there(page, project: Project):
    text = (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = project.python(example)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_models_file_on_the_page_is_one(tmp_path):
    from tracer.catalogue import Catalogue

    text = (REPOSITORY / "docs" / "calling.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "models.toml"
    path.write_text(example, encoding="utf-8")
    assert [target.name for target in Catalogue.load(path)] == ["fast", "careful", "local", "intents"]
