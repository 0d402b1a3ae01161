"""What people import. A name that is added or taken away here is a decision, and belongs in CHANGELOG.md."""

from __future__ import annotations

import importlib
import importlib.resources
import subprocess
import sys

import pytest

PUBLIC = {
    "tracer": [
        "FREE",
        "Catalogue",
        "Keep",
        "Price",
        "Target",
        "TracerError",
        "configure",
        "continued",
        "current",
        "effect",
        "flush",
        "headers",
        "instrument",
        "now",
        "random",
        "recorded",
        "shutdown",
        "span",
        "step",
        "uuid4",
        "workflow",
    ],
    "router": [
        "FREE",
        "AllTargetsFailed",
        "AnswerLimit",
        "Answered",
        "AsksForJson",
        "Bands",
        "Bans",
        "Catalogue",
        "Checked",
        "Choice",
        "Chunk",
        "ChunkFailed",
        "Cite",
        "Count",
        "Escalation",
        "Failed",
        "Forbids",
        "GuardrailFailed",
        "Guardrails",
        "InvalidWorkflow",
        "JsonSchema",
        "Length",
        "Located",
        "Markers",
        "Matches",
        "MissingExtra",
        "NoBranch",
        "NoPromiseOfMoney",
        "NotReached",
        "Offence",
        "OutputRejected",
        "Parses",
        "Part",
        "Prompt",
        "PromptTokens",
        "PromptTooLong",
        "Quotes",
        "Reduced",
        "Repaired",
        "RouterError",
        "Rule",
        "Skipped",
        "Source",
        "Target",
        "Temperature",
        "TokenLimit",
        "TooLongToReduce",
        "Tuning",
        "TuningError",
        "Typed",
        "Verdict",
        "Workflow",
        "asked",
        "checked",
        "checked_async",
        "count",
        "counted",
        "escalate",
        "fallback",
        "fallback_async",
        "fits",
        "guarded",
        "judge",
        "map_reduce",
        "map_reduce_async",
        "markers",
        "quotations",
        "refuse_too_long",
        "repair",
        "repaired",
        "require",
        "route",
        "split",
        "tokenizer",
        "tune",
    ],
    "replay": [
        "Cell",
        "Diff",
        "Divergence",
        "EntryNotFound",
        "Matrix",
        "NotReplayable",
        "Pair",
        "PlanError",
        "Replay",
        "ReplayError",
        "Report",
        "Rule",
        "Score",
        "Stopped",
        "allow",
        "backtest",
        "diff",
        "edit",
        "fail",
        "faults",
        "from_step",
        "live",
        "replay",
        "resume",
        "serve",
        "stand_in",
        "substitute",
    ],
    "web": [
        "create_app",
    ],
}


@pytest.mark.parametrize("package", PUBLIC)
class TestAPackage:
    def test_offers_exactly_these_names(self, package):
        assert importlib.import_module(package).__all__ == PUBLIC[package]

    def test_names_them_in_order(self, package):
        names = importlib.import_module(package).__all__
        # constants, classes, functions: the order that the linter keeps
        assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))

    def test_has_everything_that_it_names(self, package):
        module = importlib.import_module(package)
        assert [name for name in module.__all__ if not hasattr(module, name)] == []

    def test_says_what_each_function_and_class_is_for(self, package):
        module = importlib.import_module(package)
        values = {name: getattr(module, name) for name in module.__all__}
        silent = [name for name, value in values.items() if callable(value) and not (value.__doc__ or "").strip()]
        assert silent == []

    def test_is_typed_for_its_users(self, package):
        assert importlib.resources.files(package).joinpath("py.typed").is_file()

    def test_can_be_imported_alone(self, package):
        subprocess.run([sys.executable, "-W", "error", "-c", f"import {package}"], check=True)
