from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from tracer import model, records


class TestModel:
    def test_names_all_that_stands_in_records(self):
        theirs = {
            name
            for name, value in vars(records).items()
            if dataclasses.is_dataclass(value) and value.__module__ == "tracer.records"
        }
        assert theirs <= set(model.__all__)
        assert {name: getattr(model, name) for name in theirs} == {name: vars(records)[name] for name in theirs}

    def test_has_everything_that_it_names(self):
        assert [name for name in model.__all__ if not hasattr(model, name)] == []

    def test_has_nothing_else(self):
        with pytest.raises(AttributeError, match=r"'tracer\.model' has no attribute 'Trail'"):
            _ = model.Trail

    @pytest.mark.parametrize("first", ["tracer.model", "tracer.records"])
    def test_and_records_can_each_be_imported_first(self, first):
        code = f"import {first}; from tracer.model import Trace; from tracer.records import Step"
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
