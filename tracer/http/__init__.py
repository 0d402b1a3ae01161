"""Model calls caught at the transport of httpx and httpx2, the one seam that SDKs and frameworks cross.

Outside a workflow a request meets one look at a context variable and nothing else.
"""

from __future__ import annotations

from tracer.http.faults import HttpError
from tracer.http.install import install, uninstall

__all__ = ["HttpError", "install", "uninstall"]
