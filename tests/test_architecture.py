"""The shape of the code: who imports whom, and how large a room may be. docs/architecture.md says why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sources import PACKAGES, REPOSITORY, Import, Module, modules, texts

#: What each package may import of ours.
FLOORS = {
    "tracer": set(),
    "router": {"tracer"},
    "replay": {"tracer"},
    "web": {"tracer", "replay", "router"},
}

#: What the rooms of tracer that have a stated place may import of tracer.
ROOMS = {
    "errors": set(),
    "model": {"records"},
    "records": {"model", "notebook"},
    "ids": set(),
    "waiting": set(),
    "wire": set(),
    "messages": {"model"},
    "catalogue": {"errors", "messages", "models_file"},
    "models_file": {"catalogue", "errors", "messages", "redact"},
    "player": {"catalogue", "model"},
    "digest": set(),
    "terminal": set(),
    "drawing": {"digest", "terminal"},
    "codec": {"digest", "errors"},
    "importing": {"guard"},
    "redact": {"codec", "importing"},
    "events": {"codec"},
    "parts": {"model"},
    "price_import": set(),
    "price_table": {"model", "parts"},
    "price_file": {"digest", "errors", "model", "parts", "pricing"},
    "pricing": {"importing", "model", "parts", "price_import", "price_table"},
    "providers": {"errors", "messages", "model", "wire"},
    "format": {"model"},
    "config": {"declared", "digest", "errors", "tail"},
    "tail": {"errors"},
    "seen": {"model"},
    "subjects": set(),
    "declared": set(),
    "decisions": set(),
    "store": {
        *("codec", "errors", "events", "ids", "locks", "model", "parts", "pricing", "seen", "subjects", "tail"),
        *("waiting", "wire"),
    },
    "locks": set(),
    "owners": {"locks"},
    "segments": set(),
    "journal": {"locks", "owners", "segments"},
    "health": {"locks"},
}

#: The only rooms of tracer that know the store: who writes to it, and who reads it for a command.
READERS_AND_WRITERS = {
    "opening",
    "writer",
    "batches",
    "adoption",
    "reading",
    "recover",
    "reprice",
    "stats",
    "metrics",
    "alerts",
    "cli",
    "retention",
}

#: What each module of tracer.adapters mends, and is the only one to import: no dependency of ours.
ADAPTED = {"airflow": "airflow", "prefect": "prefect", "temporal": "temporalio", "temporal_here": "temporalio"}

#: What `import tracer` must not load: it stands at the top of every file of a user's pipeline.
HEAVY = (
    "alembic",
    "anyio",
    "click",
    "fastapi",
    "httpx",
    "httpx2",
    "pydantic",
    "rich",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
#: Declared for a library that asks for it and does not declare it: FastAPI, to read forms.
FOR_OTHERS = {"python-multipart"}
#: Imported only where an extra was asked for.
OF_EXTRAS = {"distributed", "jsonschema", "mcp", "pyarrow", "referencing", "tiktoken"}
#: Versions that are dates: there is no first one that breaks.
BY_DATE = {"xllamacpp"}

MODULE_LINES = 400
FUNCTION_LINES = 60
FUNCTION_LINES_P90 = 30


def ours(module: Module) -> Iterator[Import]:
    return (each for each in module.imports() if each.imported.split(".")[0] in PACKAGES)


def told(wrong: list[Import]) -> str:
    return "\n".join(f"{each.importer}, line {each.line}, imports {each.imported}" for each in wrong)


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout


class TestTheArrows:
    @pytest.mark.parametrize("package", PACKAGES)
    def test_a_package_imports_only_the_floors_below_it(self, package):
        allowed = FLOORS[package] | {package}
        wrong = [
            each for module in modules(package) for each in ours(module) if each.imported.split(".")[0] not in allowed
        ]
        assert not wrong, told(wrong)

    def test_no_two_packages_import_each_other(self):
        arrows = {
            (package, each.imported.split(".")[0])
            for package in PACKAGES
            for module in modules(package)
            for each in ours(module)
        }
        order = {package: level for level, package in enumerate(PACKAGES)}
        assert {(above, below) for above, below in arrows if order[above] < order[below]} == set()

    @pytest.mark.parametrize("room", ROOMS)
    def test_a_room_of_tracer_imports_only_what_its_place_allows(self, room):
        allowed = {f"tracer.{name}" for name in ROOMS[room] | {room}}
        wrong = [
            each
            for module in modules("tracer")
            if module.room == f"tracer.{room}"
            for each in ours(module)
            if ".".join(each.imported.split(".")[:2]) not in allowed
        ]
        assert not wrong, told(wrong)

    def test_only_the_writer_and_the_readers_of_tracer_know_the_store(self):
        knowing = {
            module.room.removeprefix("tracer.")
            for module in modules("tracer")
            for each in ours(module)
            if each.imported.startswith("tracer.store") and module.room != "tracer.store"
        }
        assert knowing == READERS_AND_WRITERS

    def test_every_room_that_has_a_place_exists(self):
        rooms = {module.room.removeprefix("tracer.") for module in modules("tracer")}
        assert rooms >= ROOMS.keys() | READERS_AND_WRITERS

    def test_an_adapter_is_imported_by_who_uses_its_framework_and_by_nothing_of_ours(self):
        wrong = [
            each
            for package in PACKAGES
            for module in modules(package)
            for each in ours(module)
            if each.imported.startswith("tracer.adapters") and module.room != "tracer.adapters"
        ]
        assert not wrong, told(wrong)

    def test_a_framework_is_imported_by_its_adapter_alone(self):
        wrong = [
            each
            for package in PACKAGES
            for module in modules(package)
            for each in module.imports()
            if (top := each.imported.split(".")[0]) in ADAPTED.values()
            and ADAPTED.get(module.name.removeprefix("tracer.adapters.")) != top
        ]
        assert not wrong, told(wrong)

    def test_no_module_reaches_another_by_a_relative_path(self):
        relative = [
            f"{module.path.relative_to(REPOSITORY)}:{number}"
            for package in PACKAGES
            for module in modules(package)
            for number, line in enumerate(module.text.splitlines(), 1)
            if re.match(r"\s*from \.", line)
        ]
        assert relative == []


class TestTheSizeOfTheRooms:
    @pytest.mark.parametrize("package", PACKAGES)
    def test_no_module_is_longer_than_one_can_read_in_a_sitting(self, package):
        long = {module.name: module.line_count for module in modules(package) if module.line_count > MODULE_LINES}
        assert long == {}

    @pytest.mark.parametrize("package", PACKAGES)
    def test_no_function_is_longer_than_a_screen(self, package):
        long = {
            f"{module.name}.{name}": lines
            for module in modules(package)
            for name, lines in module.functions()
            if lines > FUNCTION_LINES
        }
        assert long == {}

    @pytest.mark.parametrize("package", PACKAGES)
    def test_nine_functions_of_ten_are_short(self, package):
        lengths = sorted(lines for module in modules(package) for _, lines in module.functions())
        assert lengths[len(lengths) * 9 // 10] <= FUNCTION_LINES_P90


class TestTheCostOfAnImport:
    def test_import_tracer_loads_nothing_heavy(self):
        loaded = set(json.loads(run("import json, sys, tracer; print(json.dumps(sorted(sys.modules)))")))
        assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))

    def test_recording_starts_without_what_only_readers_and_others_need(self):
        loaded = set(json.loads(run("import json, sys, tracer; print(json.dumps(list(sys.modules)))")))
        assert loaded.isdisjoint({"hashlib", "tempfile", "tracer.messages", "tracer.records"})

    def test_a_recorded_call_loads_no_web_framework(self, tmp_path):
        code = f"""
            import json, sys, tracer
            tracer.configure(home={str(tmp_path)!r})
            assert tracer.workflow(len)("abc") == 3
            tracer.shutdown()
            print(json.dumps(sorted(sys.modules)))
        """
        loaded = set(json.loads(run("\n".join(line.strip() for line in code.splitlines()))))
        assert "sqlalchemy" in loaded
        assert loaded.isdisjoint({"fastapi", "starlette", "uvicorn", "jinja2", "click", "rich"})


class TestNothingOfOneMachine:
    #: In pieces, so that this file does not name what it forbids.
    REGISTRIES = tuple("".join(pieces) for pieces in (("pypi", ".org"), ("python", "hosted.org"), ("npm", "js.")))
    HOME = re.compile(r"(?<![\w.])/(?:root|work|Users|home)/[A-Za-z]")

    def test_no_file_names_a_registrys_host(self):
        assert [path for path, text in texts().items() if any(host in text for host in self.REGISTRIES)] == []

    def test_no_file_names_a_place_on_somebodys_machine(self):
        found = {path: match.group() for path, text in texts().items() if (match := self.HOME.search(text))}
        assert found == {}


class TestTheDependencies:
    LOCKS = ("bench", "demo-model", "demo", "dev", "runtime")

    def declared(self):
        return [Requirement(text) for text in PROJECT["project"]["dependencies"]]

    def everything_declared(self):
        project = PROJECT["project"]
        groups = [*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
        return self.declared() + [Requirement(text) for group in groups for text in group]

    def test_what_the_packages_import_is_what_is_declared(self):
        provided_by = packages_distributions()
        imported = {
            canonicalize_name(provided_by[top][0])
            for package in PACKAGES
            for module in modules(package)
            for each in module.imports()
            if (top := each.imported.split(".")[0]) not in {*sys.stdlib_module_names, *PACKAGES, *ADAPTED.values()}
        }
        assert imported - OF_EXTRAS == {canonicalize_name(each.name) for each in self.declared()} - FOR_OTHERS

    def test_every_library_of_ours_has_a_lowest_and_a_first_unknown_version(self):
        open_ended = {
            str(each)
            for each in self.everything_declared()
            if not {">=", "<"} <= {bound.operator for bound in each.specifier} and each.name not in BY_DATE
        }
        assert open_ended == set()

    @pytest.mark.parametrize("lock", LOCKS)
    def test_a_lock_pins_every_package_by_hash_and_names_no_address(self, lock):
        text = texts()[f"requirements/{lock}.txt"]
        pins = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)
        assert pins
        assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
        assert re.search(r"://|^\s*-[a-z]|^\s*--(?!hash)", text, re.MULTILINE) is None

    @pytest.mark.parametrize("lock", LOCKS)
    def test_the_locks_agree_on_every_version(self, lock):
        def pins(name):
            return set(re.findall(r"^([a-z0-9-]+)==(\S+)", texts()[f"requirements/{name}.txt"], re.MULTILINE))

        everything = pins("dev") | pins("demo-model")
        if lock == "bench":  # whom we are measured against is in no other lock
            known = {name for name, _ in everything}
            everything |= {(name, version) for name, version in pins("bench") if name not in known}
        assert pins(lock) <= everything

    def test_the_lock_satisfies_what_is_declared(self):
        pinned: dict[str, str] = {}
        for lock in ("bench", "demo-model", "dev"):
            pinned |= re.findall(r"^([a-z0-9-]+)==([^\s;]+)", texts()[f"requirements/{lock}.txt"], re.MULTILINE)
        stale = {
            str(each)
            for each in self.everything_declared()
            if pinned[canonicalize_name(each.name)] not in each.specifier
        }
        assert stale == set()
