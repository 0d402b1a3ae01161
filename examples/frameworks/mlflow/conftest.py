"""An MLflow of these tests' own: a SQLite file, and nobody asked for anything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="mlflow-"))
os.environ.pop("OTEL_SDK_DISABLED", None)  # MLflow's tracing stands on that SDK; it exports nothing
os.environ.update(
    MLFLOW_TRACKING_URI=f"sqlite:///{FOLDER / 'mlflow.db'}",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_MODEL_CATALOG_URI="",
    MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false",
)

import mlflow  # noqa: E402 - reads the environment

mlflow.set_experiment(experiment_id=mlflow.create_experiment("desk", artifact_location=FOLDER.as_uri()))
