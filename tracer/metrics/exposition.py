"""Metrics as text, in version 0.0.4 of Prometheus's format. Pure.

The format is a line per value; written here because what is counted comes out of the store, and prometheus_client's
own counters, made for one process's memory, would only be in between. Its parser reads this back in the tests.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Iterable, Iterator

from tracer.metrics.families import BOUNDS_S, NANO, Histogram, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (*map(repr, BOUNDS_S), "+Inf")


def exposition(metrics: Iterable[Metric]) -> str:
    """All of them, each with its help and type. A metric without values is named all the same."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    family = metric.family
    yield f"# HELP {family.name} {_escaped(family.what)}"
    yield f"# TYPE {family.name} {family.kind}"
    for values in sorted(metric.values):
        value = metric.values[values]
        labels = [_label(name, told) for name, told in zip(family.labels, values, strict=True)]
        if isinstance(value, Histogram):
            yield from _histogram(family.name, labels, value)
        else:
            yield f"{family.name}{_braced(labels)} {_number(value, family.scale)}"


def _histogram(name: str, labels: list[str], value: Histogram) -> Iterator[str]:
    total = 0
    for bound, total in zip(_BOUNDS, accumulate(value.counts), strict=True):
        yield f"{name}_bucket{_braced([*labels, _label('le', bound)])} {total}"
    yield f"{name}_sum{_braced(labels)} {_number(value.sum_ns, NANO)}"
    yield f"{name}_count{_braced(labels)} {total}"


def _braced(labels: list[str]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _number(value: float, scale: int) -> str:
    return repr(value if scale == 1 else value / scale)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _label(name: str, value: str) -> str:
    quoted = _escaped(value).replace('"', '\\"')
    return f'{name}="{quoted}"'
