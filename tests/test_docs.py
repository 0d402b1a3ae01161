"""The pages are true: every command and setting is written down, and what is written down exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from tests.sources import PACKAGES, REPOSITORY, files, modules
from tracer.cli import main

PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in files(".md"))
#: What a user reads; decisions and the change log speak of other times too.
GUIDES = [page for page in PAGES if page.startswith(("README", "CONTRIBUTING", "docs/")) and "/adr/" not in page]
#: Read by the suite and not by the packages.
OF_THE_SUITE = {"PLAYHEAD_STRICT_TESTS", "PLAYHEAD_TEST_CHROMIUM"}

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"PLAYHEAD_[A-Z]+(?:_[A-Z]+)*")


def page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it, "db upgrade" among them."""

    def below(group, words):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                if command.invoke_without_command:
                    yield " ".join([*words, name]), command
                yield from below(command, [*words, name])
            else:
                yield " ".join([*words, name]), command

    return dict(below(main, []))


def variables_read() -> set[str]:
    """Every setting that the packages read, found in their string constants; docstrings only speak of settings."""
    return {
        node.value
        for package in PACKAGES
        for module in modules(package)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value)
    }


def shown_commands() -> list[tuple[str, str]]:
    """Each line of a code block that calls playhead, with its page."""
    return [
        (name, line.removeprefix("$ ").split("#")[0].strip())
        for name in GUIDES
        for _, block in FENCE.findall(page(name))
        for line in block.splitlines()
        if re.match(r"(\$ )?playhead [a-z]", line)
    ]


def anchors(name: str) -> set[str]:
    """The fragments that a page's headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page(name)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestWhatThereIsIsWrittenDown:
    @pytest.mark.parametrize("command", commands())
    def test_every_command(self, command):
        assert any(f"playhead {command}" in page(name) for name in GUIDES)

    @pytest.mark.parametrize("variable", sorted(variables_read()))
    def test_every_setting(self, variable):
        assert any(variable in VARIABLE.findall(page(name)) for name in GUIDES)

    def test_every_decision_stands_in_the_list_of_decisions(self):
        listed = {Path(target).name for target in LINK.findall(page("docs/adr/README.md"))}
        assert {path.name for path in (REPOSITORY / "docs" / "adr").glob("0*.md")} <= listed


class TestWhatIsWrittenDownExists:
    @pytest.mark.parametrize("name", GUIDES)
    def test_settings(self, name):
        assert set(VARIABLE.findall(page(name))) <= variables_read() | OF_THE_SUITE

    @pytest.mark.parametrize("name", GUIDES)
    def test_make_targets(self, name):
        targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
        assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", page(name), re.MULTILINE)) <= targets

    def test_commands_and_their_options(self):
        known = commands()
        wrong = []
        for name, line in shown_commands():
            words = line.split()[1:]
            command = known.get(" ".join(words[:2])) or known.get(words[0])
            options = {option for parameter in command.params for option in parameter.opts} if command else set()
            given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
            if command is None or not given <= options:
                wrong.append((name, line))
        assert wrong == []

    @pytest.mark.parametrize("name", PAGES)
    def test_the_places_that_links_lead_to(self, name):
        broken = []
        for target in LINK.findall(FENCE.sub("", page(name))):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, fragment = target.partition("#")
            place = (REPOSITORY / name).parent / path if path else REPOSITORY / name
            inside = place.resolve().is_relative_to(REPOSITORY) and place.exists()
            if not inside or (fragment and fragment not in anchors(place.resolve().relative_to(REPOSITORY).as_posix())):
                broken.append(target)
        assert broken == []

    @pytest.mark.parametrize("name", PAGES)
    def test_python_that_compiles(self, name):
        for language, block in FENCE.findall(page(name)):
            if language in {"python", "py"}:
                compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    def test_the_names_that_the_readme_imports(self):
        blocks = [block for language, block in FENCE.findall(page("README.md")) if language in {"python", "py"}]
        assert blocks
        imported = [
            (node.module, alias.name)
            for block in blocks
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.ImportFrom) and node.module in PACKAGES
            for alias in node.names
        ]
        assert imported
        assert [each for each in imported if each[1] not in __import__(each[0]).__all__] == []
