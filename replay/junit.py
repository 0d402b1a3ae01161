"""A matrix of faults as JUnit XML: every cell a test case, a silently different one a failure. Pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from replay.matrix import Cell, Matrix

#: What XML 1.0 can't hold.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_TRIED = frozenset({"needs-live", "stopped", "not-applicable"})


def junit(matrix: Matrix) -> str:
    """One suite. A cell that could not be judged is skipped, with the reason; a matrix that could not begin is an
    error."""
    skipped = sum(cell.outcome in _NOT_TRIED for cell in matrix.cells)
    stopped = int(matrix.stopped is not None)
    counts = {
        "tests": len(matrix.cells) + stopped,
        "failures": len(matrix.silent),
        "errors": stopped,
        "skipped": skipped,
    }
    told = {name: str(count) for name, count in counts.items()}
    suites = ET.Element("testsuites", told)
    suite = ET.SubElement(suites, "testsuite", {"name": _xml(f"faults of {matrix.workflow}"), **told})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "trace", "value": matrix.trace_id})
    if matrix.stopped is not None:
        case = ET.SubElement(suite, "testcase", {"classname": _xml(matrix.workflow), "name": "no fault"})
        ET.SubElement(case, "error", {"message": _xml(matrix.stopped)})
    for cell in matrix.cells:
        suite.append(_case(cell))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(cell: Cell) -> ET.Element:
    case = ET.Element("testcase", {"classname": _xml(cell.path.replace("/", ".")), "name": cell.fault})
    if cell.outcome == "different":
        told = {"message": _xml(cell.note), "type": "silently different"}
        ET.SubElement(case, "failure", told).text = f"replay {cell.trace_id}"
    elif cell.outcome in _NOT_TRIED:
        ET.SubElement(case, "skipped", {"message": _xml(f"{cell.outcome}: {cell.note}")})
    said = ET.SubElement(case, "system-out")
    said.text = _xml(f"{cell.outcome} {cell.note} {cell.trace_id or ''}".strip())
    return case


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
