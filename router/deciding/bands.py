"""Which way to go on a confidence: three bands between two thresholds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Band = Literal["sure", "unsure", "hopeless"]


@dataclass(frozen=True, slots=True)
class Bands:
    """From ``sure`` upwards a confidence is sure, below ``hopeless`` it is hopeless, and between them unsure."""

    sure: float = 0.8
    hopeless: float = 0.3

    def __post_init__(self) -> None:
        if not 0.0 <= self.hopeless <= self.sure <= 1.0:
            raise ValueError(f"bands need 0 <= hopeless <= sure <= 1, not hopeless={self.hopeless}, sure={self.sure}")

    def of(self, confidence: float) -> Band:
        """The band of a confidence between 0 and 1; what is no number is hopeless."""
        if confidence >= self.sure:
            return "sure"
        return "unsure" if confidence >= self.hopeless else "hopeless"

    def choose(self, confidence: float) -> Choice:
        """The band, with the words that explain it."""
        band = self.of(confidence)
        reason = {
            "sure": f"{confidence:.2f} is at least {self.sure:.2f}",
            "unsure": f"{confidence:.2f} lies between {self.hopeless:.2f} and {self.sure:.2f}",
            "hopeless": f"{confidence:.2f} is below {self.hopeless:.2f}",
        }[band]
        return Choice(band, confidence, reason)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which band a confidence fell into, and why."""

    band: Band
    confidence: float
    reason: str
