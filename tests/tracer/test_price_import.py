"""The price library, imported on the writer's thread, behind the back of whatever the user's threads do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRICED = """
from tracer.pricing import price_call
call = {"provider": "openai", "model": "gpt-4o-mini", "usage": {"input_tokens": 1000, "output_tokens": 100}}
cost, _ = price_call(call, at_ns=1_760_000_000 * 10**9)
assert cost is not None and cost.nusd == 210_000, cost
"""


def run(code: str, *paths: object) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), *sys.path])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


class TestPricing:
    def test_imports_no_http_client(self):
        # OpenAI's SDK takes one that it finds in sys.modules for imported, while it still is half so: its call fails.
        assert run(f"{PRICED}\nimport sys; print({{'httpx', 'httpx2'}} & sys.modules.keys())") == "set()"

    def test_leaves_the_librarys_updater_to_who_asks_for_it(self):
        asked = """
import genai_prices
from genai_prices import UpdatePrices, wait_prices_updated_sync
import genai_prices.update_prices as updater
print(UpdatePrices is updater.UpdatePrices is genai_prices.UpdatePrices, wait_prices_updated_sync())
"""
        assert run(PRICED + asked) == "True False"

    def test_leaves_the_librarys_other_names_missing(self):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(f"{PRICED}\nimport genai_prices; genai_prices.nothing_of_that_name")
        assert "module 'genai_prices' has no attribute 'nothing_of_that_name'" in failed.value.stderr

    def test_takes_a_library_that_is_imported_already_as_it_is(self):
        found = "print('UpdatePrices' in vars(genai_prices), hasattr(genai_prices, '__getattr__'))"
        assert run(f"import genai_prices{PRICED}\n{found}") == "True False"

    def test_imports_the_whole_library_where_it_can_not_do_without_its_updater(self, tmp_path):
        package = tmp_path / "genai_prices"
        package.mkdir()
        (package / "update_prices.py").write_text("class UpdatePrices:\n    pass\n")
        (package / "__init__.py").write_text(
            "from .update_prices import UpdatePrices\nclass Better(UpdatePrices):\n    pass\n"
        )
        code = "import tracer.pricing, genai_prices; print(genai_prices.Better.__mro__[1].__module__)"
        assert run(code, tmp_path) == "genai_prices.update_prices"
