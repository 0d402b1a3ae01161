"""An Airflow of these tests' own: a SQLite file, and this folder's DAG."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = Path(tempfile.mkdtemp(prefix="airflow-"))
DAGS = HOME / "dags"
DAGS.mkdir()
(DAGS / "desk.py").write_text("# for Airflow\nfrom pipeline import dag\n", encoding="utf-8")
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    PYTHONPATH=os.pathsep.join([str(HERE), str(HERE.parents[2])]),
)
AIRFLOW = str(Path(sys.executable).with_name("airflow"))
subprocess.run([AIRFLOW, "db", "migrate"], check=True, capture_output=True, timeout=120)
