"""The frameworks' folders, locks and page agree. (Their own tests run in their own environments: make frameworks.)"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest

from tests.sources import REPOSITORY

HERE = REPOSITORY / "examples" / "frameworks"
LOCKS = REPOSITORY / "requirements" / "frameworks"
PAGE = REPOSITORY / "docs" / "frameworks.md"
TOLD = {file.parent.name: tomllib.loads(file.read_text()) for file in sorted(HERE.glob("*/framework.toml"))}
ENVIRONMENTS = sorted(path.stem for path in LOCKS.glob("*.in"))


def pins(environment):
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (LOCKS / f"{environment}.txt").read_text(), re.MULTILINE))


@pytest.fixture
def runner(monkeypatch, tmp_path):
    """run.py as a module, writing its page elsewhere."""
    spec = importlib.util.spec_from_file_location("frameworks_run", HERE / "run.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGE", tmp_path / "frameworks.md")
    return module


@pytest.mark.parametrize("name", TOLD)
class TestAFramework:
    def test_has_a_pipeline_that_says_what_a_user_must_know_and_a_test(self, name):
        assert ast.get_docstring(ast.parse((HERE / name / "pipeline.py").read_text()))
        assert (HERE / name / f"test_{name}.py").is_file()

    def test_names_packages_that_its_environment_locks(self, name):
        assert set(TOLD[name]["packages"]) <= pins(TOLD[name]["environment"]).keys()

    def test_stands_on_the_page_with_the_versions_of_its_lock(self, name):
        (row,) = [line for line in PAGE.read_text().splitlines() if f"/frameworks/{name}/pipeline.py)" in line]
        locked = pins(TOLD[name]["environment"])
        versions = ", ".join(f"{package} {locked[package]}" for package in TOLD[name]["packages"])
        assert row.split(" | ")[1] in {versions, "not installed"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
class TestAnEnvironment:
    def test_is_locked_by_hash_and_names_no_address(self, environment):
        text = (LOCKS / f"{environment}.txt").read_text()
        locked = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)
        assert locked
        assert [pin.split()[0] for pin in locked if "==" not in pin or "--hash=sha256:" not in pin] == []
        assert re.search(r"://|^\s*-[a-z]|^\s*--(?!hash)", text, re.MULTILINE) is None

    def test_holds_what_playhead_itself_needs_and_what_it_is_asked_for(self, environment):
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        asked = re.findall(r"^([A-Za-z0-9][\w.-]*)", (LOCKS / f"{environment}.in").read_text(), re.MULTILINE)
        needed = [re.match(r"[\w.-]+", text)[0] for text in project["dependencies"]]
        wanted = {re.sub(r"[-_.]+", "-", name).lower() for name in (*needed, *asked, "pytest", "hatchling")}
        assert wanted <= pins(environment).keys()

    def test_is_used(self, environment):
        assert environment in {told["environment"] for told in TOLD.values()}


class TestThePage:
    def test_keeps_the_rows_of_what_was_not_run_and_drops_those_of_what_is_gone(self, runner):
        runner.PAGE.write_text(
            "| [OpenAI SDK](../examples/frameworks/openai/pipeline.py) | as it was |\n"
            "| [Gone](../examples/frameworks/gone/pipeline.py) | 1 |\n"
        )
        told = runner.Framework("litellm", "Lite", "litellm", ("litellm",), "httpx")
        runner._write_page([runner.Result(told, "litellm 1", {"recorded": 2, "arrived": 3, "served": 4, "replays": 2})])
        rows = [line for line in runner.PAGE.read_text().splitlines() if line.startswith("| [")]
        assert rows == [
            "| [Lite](../examples/frameworks/litellm/pipeline.py) | litellm 1 | httpx | 2 of 3 | 4 in 2 replays |  |",
            "| [OpenAI SDK](../examples/frameworks/openai/pipeline.py) | as it was |",
        ]

    def test_says_what_failed_and_why_in_words_without_a_place(self, runner):
        told = runner.Framework("kfp", "Kubeflow", "kfp", ("kfp",), "a child process")
        trouble = f"could not be installed: {runner._last_line('no wheel | at https://host/x for kfp')}"
        row = runner.Result(told, "not installed", trouble=trouble).row
        assert "| **failed** | could not be installed: no wheel / at ... for kfp |" in row


class TestTheRunner:
    def test_names_what_there_is_when_it_is_asked_for_what_there_is_not(self):
        command = [sys.executable, str(HERE / "run.py"), "core", "langchian"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert "called langchian" in ended.stderr
        assert "langchain" in ended.stderr

    def test_takes_names_of_frameworks_and_of_environments(self, runner):
        parser = runner.argparse.ArgumentParser()
        chosen = [each.name for each in runner._chosen(parser, ["litellm", "core"])]
        assert {"litellm", "openai", "anthropic", "langchain", "langgraph"} <= set(chosen)
        assert {each.environment for each in runner._chosen(parser, ["openai"])} == {"core"}
