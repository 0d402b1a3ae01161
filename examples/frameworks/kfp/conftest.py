"""The components' processes find ``steps``, which an image would hold, and this checkout where it is not installed."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[2])])
