from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Iterator

import pytest

import tracer

ROOT = Path(__file__).resolve().parents[2]
# As `playhead demo` does it: the folder above the example is the one that packages are looked for in.
sys.path.insert(0, str(ROOT / "examples"))


@pytest.fixture(scope="session")
def tickets() -> list[dict[str, str]]:
    """The test split: real messages, each with the intent that a person chose."""
    file = ROOT / "examples" / "support" / "data" / "test.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store and an outbox of one's own."""
    monkeypatch.setenv("SUPPORT_OUTBOX", str(tmp_path / "outbox.jsonl"))
    tracer.configure(database_url=str(tmp_path / "playhead.db"), home=tmp_path)
    yield tmp_path
    tracer.shutdown()


@pytest.fixture
def without_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system as it runs where the language model can't."""
    from support import pipeline
    from support.models import INTENT_LR, REPLY_TEMPLATES

    monkeypatch.setattr(pipeline, "CLASSIFIER", INTENT_LR)
    monkeypatch.setattr(pipeline, "DRAFTERS", (REPLY_TEMPLATES,))
