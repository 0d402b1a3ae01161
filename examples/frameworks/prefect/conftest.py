"""A Prefect of these tests' own: it starts a server on 127.0.0.1 when it needs one."""

from __future__ import annotations

import os
import tempfile

os.environ.update(
    PREFECT_HOME=tempfile.mkdtemp(prefix="prefect-"),
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="150",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_LOGGING_LEVEL="WARNING",
)
