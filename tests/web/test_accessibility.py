"""What axe, the checker of accessibility, finds in each page: nothing, wide and narrow, light and dark.

It is put in by the browser's debugging protocol, which no Content-Security-Policy of a page keeps out.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.web.everything import NOT_PAGES, Everything, forget, record_everything
from tests.web.test_browser import browser, serving
from tracer import recorder
from web import create_app
from web.api.document import described_of
from web.app import ROUTES
from web.view.looking import VIEWS

__all__ = ["browser"]  # the fixture

#: A page of each kind, with the names of Everything in its address.
PAGES = {
    "list": "/",
    "list, narrowed and mistyped": "/?q=card+cost>much&status=failed",
    "list, empty": "/traces?q=nobodysaidthis",
    **{f"trace, {view}": f"/t/{{garbled}}?view={view}&step=support/classify/chat" for view in VIEWS},
    "trace, routed": "/t/{routed}?step=triage/ask",
    "trace, failed": "/t/{limited}",
    "trace, long": "/t/{research}",
    "trace, running": "/t/{running}",
    "trace, interrupted": "/t/{interrupted}",
    "trace, waiting": "/t/{option}",
    "trace, replayed": "/t/{replay}?step=support/classify&as=recorded",
    "trace, hostile": "/t/{odd}",
    "replay form": "/t/{desk}/replay?step=desk/draft&edit=desk/draft",
    "replay form, of a workflow that is gone": "/t/{handled}/replay",
    "diff": "/diff/{garbled}/{replay}",
    "diff, the same": "/diff/{desk}/{changed}",
    "compare": "/compare?t={garbled}&t={limited}&t={handled}",
    "delete": "/delete?t={handled}&t={running}",
    "faults": "/t/{desk}/faults",
    "faults, none": "/t/{handled}/faults",
    "backtests": "/backtests",
    "backtests, of some": "/backtests?t={desk}",
    "backtest": "/backtests/{backtest}",
    "overview": "/overview",
    "overview, compared": "/overview?compare=version:1,2",
    "models": "/models",
    "steps": "/steps",
    "routes": "/routes",
    "canaries": "/canaries",
    "thresholds": "/thresholds",
    "health": "/health",
    "escalations": "/escalations",
    "escalations, all": "/escalations?all",
    "payload": "/p/{digest}",
    "about": "/about",
    "run, under way": "/runs/{going}",
    "run, cancelled": "/runs/{cancelled}",
    "error, no page": "/nowhere",
    "error, no trace": "/t/ffffffff",
    "error, nothing selected": "/compare",
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    found = record_everything(tmp_path_factory.mktemp("everything"))
    known = dict(recorder.catalogue()._targets)
    found.configure()
    (found.home / "hold").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_WORLD", str(found.home / "world.txt"))
        yield found
    forget(known)


@pytest.fixture(scope="module")
def site(everything: Everything) -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the ids by name; with a run that goes on until the end, and one that was cancelled."""
    app = create_app(everything.url)
    runs, config = app.state.site.runs, recorder.current_config()
    with serving(app) as address:
        held = everything.ids["held"]
        going, cancelled = (runs.start("replay", held, ["replay", held], config, filled={}, of=2) for _ in range(2))
        runs.cancel(cancelled)
        yield address, {**everything.ids, "going": going.run_id, "cancelled": cancelled.run_id}


@pytest.fixture(scope="module")
def page(browser: Browser, site: tuple[str, dict[str, str]]) -> Iterator[Page]:
    with contextlib.closing(browser.new_context(base_url=site[0])) as context:
        yield context.new_page()


ALL: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "iframes": False}
#: What depends on the theme.
CONTRAST = {**ALL, "runOnly": ["color-contrast", "link-in-text-block"]}


def found(page: Page, options: dict[str, Any]) -> list[str]:
    """What axe finds: each rule that is broken, at how many nodes, and the first of them."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    told = page.evaluate("async options => (await axe.run(options)).violations", options)
    return [
        f"{one['id']}, {len(one['nodes'])} times: {one['nodes'][0]['html'][:160]}\n{one['nodes'][0]['failureSummary']}"
        for one in told
    ]


class TestAxe:
    @pytest.mark.parametrize("kind", PAGES)
    def test_finds_nothing(self, page: Page, site: tuple[str, dict[str, str]], kind: str) -> None:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(PAGES[kind].format(**site[1]))
        wrong = [f"wide, light: {line}" for line in found(page, ALL)]
        page.emulate_media(color_scheme="dark")
        wrong += [f"wide, dark: {line}" for line in found(page, CONTRAST)]
        page.set_viewport_size({"width": 400, "height": 800})
        # what is folded is checked here: open, it may cover what else there is
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wrong += [f"narrow, dark: {line}" for line in found(page, ALL)]
        page.emulate_media(color_scheme="light")
        wrong += [f"narrow, light: {line}" for line in found(page, CONTRAST)]
        assert not wrong, "\n".join(wrong)

    def test_finds_nothing_in_the_help(self, page: Page) -> None:
        page.goto("/about")
        page.keyboard.press("?")
        page.locator("#help kbd").first.wait_for()
        assert found(page, ALL) == []


class TestWhatScrolls:
    def test_is_moved_by_the_arrows_where_it_has_the_focus(self, page: Page) -> None:
        page.set_viewport_size({"width": 400, "height": 800})
        page.goto("/canaries")
        region = page.locator(".scroll").first
        region.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.activeElement.scrollLeft > 0")


class TestThePagesThatAxeSees:
    def test_are_all_that_there_are(self) -> None:
        seen = [path.partition("?")[0] for path in PAGES.values()]
        unseen = {
            route.path
            for route in ROUTES
            if described_of(route) is None and not any(route.path_regex.match(path) for path in seen)
        }
        assert unseen <= NOT_PAGES, "each needs a place in PAGES, or a description in its route"
