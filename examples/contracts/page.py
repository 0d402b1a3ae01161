"""A review as a document for people, in Markdown and in HTML. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from contracts.pipeline import Clause, Review

_HEADINGS = ("Clause", "Risk", "Because", "In short", "In the contract")


def markdown(read: Review) -> str:
    """The review as a table; nothing of the contract is taken for Markdown."""
    lines = [f"# {_plain(read.contract)}", "", f"Governing law: {_plain(read.law or 'not found')}", ""]
    lines += [f"| {' | '.join(_HEADINGS)} |", "|" + "---|" * len(_HEADINGS)]
    lines += [f"| {' | '.join(_plain(cell) for cell in _cells(clause))} |" for clause in read.clauses]
    return "\n".join([*lines, ""])


def html(read: Review) -> str:
    """The same as a page that needs nothing else."""
    heads = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(clause)) + "</tr>" for clause in read.clauses
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(read.contract)}</title>\n'
        f"<h1>{escape(read.contract)}</h1>\n<p>Governing law: {escape(read.law or 'not found')}</p>\n"
        f"<table>\n<tr>{heads}</tr>\n{rows}\n</table>\n</html>\n"
    )


def _cells(clause: Clause) -> Sequence[str]:
    place = f"{clause.start} to {clause.end}: {clause.text}"
    return clause.category, clause.risk, clause.why, clause.summary or "", place


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))
