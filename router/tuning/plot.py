"""The curve to look at: an SVG that needs nothing else, and a line of blocks for a terminal. Pure."""

from __future__ import annotations

from typing import Sequence
from xml.sax.saxutils import escape

from router.tuning.curve import Curve, Point

_BLOCKS = "▁▂▃▄▅▆▇█"
#: A point that is not identified.
_UNSEEN = "·"
_WIDE, _HIGH = 720, 420
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 40, 690, 360
_LINES = 5


def sparkline(points: Sequence[Point]) -> str:
    """Quality over the thresholds, ascending; a dot where nobody knows."""
    known = [point.quality.value for point in points if point.quality.value is not None]
    low, reach = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    return "".join(
        _UNSEEN
        if point.quality.value is None
        else _BLOCKS[round((point.quality.value - low) / reach * (len(_BLOCKS) - 1)) if reach else 0]
        for point in points
    )


def svg(curve: Curve, *, title: str, chosen: Point | None = None) -> str:
    """Cost per run against quality, each identified threshold with its 95 % interval; hollow is the one in force, and
    full the one that is recommended."""
    known = [point for point in curve.points if point.quality.value is not None and point.cost.value is not None]
    if curve.dear_alone.cost.value is not None and curve.dear_alone.quality.value is not None:
        known.append(curve.dear_alone)
    frame = _Frame(known)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" role="img">',
        f"<title>{escape(title)}</title>",
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *frame.axes(),
        *(frame.interval(point) for point in known),
        frame.line([point for point in known if point is not curve.dear_alone]),
        *(frame.mark(point, _look(point, curve, chosen)) for point in known),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _look(point: Point, curve: Curve, chosen: Point | None) -> str:
    if point is curve.dear_alone:
        return "dear alone"
    if chosen is not None and point.accept == chosen.accept:
        return "recommended"
    if curve.current and point.accept == curve.current[0]:
        return "in force"
    return "cheap alone" if point is curve.cheap_alone else ""


class _Frame:
    """Where a cost and a quality lie on the page."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.most = max((point.cost.value or 0.0 for point in points), default=0.0) * 1.08 or 1.0
        lows = [point.quality.low for point in points if point.quality.low is not None]
        self.low = max(0.0, min(lows, default=0.0) - 0.02)
        self.high = 1.0

    def x(self, nusd: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * nusd / self.most, 1)

    def y(self, quality: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (quality - self.low) / (self.high - self.low), 1)

    def at(self, point: Point) -> tuple[float, float]:
        return self.x(point.cost.value or 0.0), self.y(point.quality.value or 0.0)

    def axes(self) -> list[str]:
        lines = []
        for step in range(_LINES + 1):
            quality = self.low + (self.high - self.low) * step / _LINES
            nusd = self.most * step / _LINES
            x, y = self.x(nusd), self.y(quality)
            lines += [
                f'<line x1="{_LEFT}" y1="{y}" x2="{_RIGHT}" y2="{y}" stroke="#e5e5e5"/>',
                f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{quality:.0%}</text>',
                f'<text x="{x}" y="{_BOTTOM + 18}" text-anchor="middle">${nusd / 1e9:.3g}</text>',
            ]
        middle = (_LEFT + _RIGHT) / 2
        return [*lines, f'<text x="{middle}" y="{_BOTTOM + 42}" text-anchor="middle">cost of a run</text>']

    def interval(self, point: Point) -> str:
        if point.quality.low is None or point.quality.high is None:
            return ""
        x, low, high = self.x(point.cost.value or 0.0), self.y(point.quality.low), self.y(point.quality.high)
        return f'<line x1="{x}" y1="{low}" x2="{x}" y2="{high}" stroke="#9db8d9" stroke-width="2"/>'

    def line(self, points: Sequence[Point]) -> str:
        path = " ".join(f"{x},{y}" for x, y in map(self.at, points))
        return f'<polyline points="{path}" fill="none" stroke="#2f6fb5" stroke-width="1.5"/>'

    def mark(self, point: Point, look: str) -> str:
        x, y = self.at(point)
        fill = "#c0392b" if look == "recommended" else "#fff" if look == "in force" else "#2f6fb5"
        words = f"{look} {point.accept:.3g}" if look in {"recommended", "in force"} else look
        hover = f"accept {point.accept:.4g}: {point.quality.value:.1%}"
        below = self.y(point.quality.low if point.quality.low is not None else point.quality.value or 0.0) + 16
        said = f'<text x="{x}" y="{below}" text-anchor="middle">{escape(words)}</text>' if look else ""
        return (
            f'<circle cx="{x}" cy="{y}" r="{5 if look else 3}" fill="{fill}" stroke="#2f6fb5">'
            f"<title>{escape(hover)}</title></circle>{said}"
        )
