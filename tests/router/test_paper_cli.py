"""``playhead draw``, and the page that describes it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from router.paper.cli import draw_command
from tests.sources import REPOSITORY

PAGE = (REPOSITORY / "docs" / "workflow.md").read_text(encoding="utf-8")
EXAMPLE, SAID = re.findall(r"```(?:python)?\n(.*?)```", PAGE, re.DOTALL)[:2]


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """The page's example, as a file of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "paper_of_the_page.py"
    path.write_text(EXAMPLE, encoding="utf-8")
    yield path
    sys.modules.pop("paper_of_the_page", None)


def draw(*arguments):
    return CliRunner().invoke(draw_command, list(arguments))


class TestDraw:
    def test_draws_a_workflow_of_a_module_and_of_a_file(self, pipeline):
        by_module = draw("paper_of_the_page:support", "--width", "100")
        assert (by_module.exit_code, by_module.stderr) == (0, "")
        assert f"```\n{by_module.stdout}```" in PAGE
        assert draw("paper_of_the_page.py:support", "--width", "100").stdout == by_module.stdout

    @pytest.mark.parametrize(
        ("form", "start"), [("svg", "<svg xmlns"), ("mermaid", '---\ntitle: "support"'), ("text", "support\n")]
    )
    def test_writes_each_form_to_a_file(self, pipeline, tmp_path, form, start):
        drawn = draw("paper_of_the_page:support", "--format", form, "-o", "drawn")
        assert (drawn.exit_code, drawn.stdout) == (0, "")
        assert (tmp_path / "drawn").read_text(encoding="utf-8").startswith(start)

    def test_draws_what_could_not_run_and_says_why(self, pipeline):
        pipeline.write_text(EXAMPLE.replace("language: str) -> str", "languge: str) -> str"), encoding="utf-8")
        drawn = draw("paper_of_the_page:support", "--width", "120")
        assert drawn.exit_code == 1
        assert "│ ✦ classify" in drawn.stdout
        assert re.search(
            r"^error: .*_page\.py:\d+: draft: takes 'languge', which nobody gives\. Did you mean 'language'\?",
            drawn.stderr,
            re.MULTILINE,
        )

    @pytest.mark.parametrize(
        ("told", "why"),
        [
            ("support", "names no workflow: say module:name"),
            ("paper_of_the_page:nobody", "no router.Workflow of the name nobody: it has support"),
            ("paper_of_the_page:send", "no router.Workflow of the name send: it has support"),
            ("no_such_module_at_all:x", "can't be imported: ModuleNotFoundError"),
        ],
        ids=["no name", "unknown", "a function", "no module"],
    )
    def test_refuses_what_is_no_workflow(self, pipeline, told, why):
        refused = draw(told)
        assert refused.exit_code == 2
        assert why in " ".join(refused.stderr.split())


class TestThePage:
    def test_has_an_example_that_says_what_it_shows(self, pipeline, tmp_path):
        environment = {"PYTHONPATH": str(REPOSITORY), "PLAYHEAD_HOME": str(tmp_path / "home"), "PLAYHEAD_STRICT": "1"}
        ran = subprocess.run(
            [sys.executable, str(pipeline)], env=environment, capture_output=True, text=True, check=False
        )
        assert (ran.stdout, ran.stderr) == (SAID, "")
