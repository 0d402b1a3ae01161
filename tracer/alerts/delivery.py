"""Telling: a JSON body to a webhook, or a program with the same on its standard input."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from typing import Any

from tracer.alerts.rules import Command, Webhook
from tracer.alerts.states import Notice

PATIENCE_S = 10
_COMMAND_S = 60


def deliver(notice: Notice, to: Webhook | Command) -> str:
    """What went wrong; empty where it was taken."""
    told = body(notice)
    return _post(told, to) if isinstance(to, Webhook) else _run(told, to)


def body(notice: Notice) -> dict[str, Any]:
    """As others read it; ``text`` is the field that chats show."""
    told = notice.as_json()
    for name in ("since", "at"):
        moment = datetime.fromtimestamp(told.pop(f"{name}_ns") / 1e9, UTC)
        told[name] = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    return told


def _post(told: dict[str, Any], to: Webhook) -> str:
    import httpx2  # noqa: PLC0415 - a watch without a webhook needs none

    headers = {"user-agent": "playhead", **dict(to.headers)}
    try:
        answer = httpx2.post(to.url, json=told, headers=headers, timeout=PATIENCE_S, follow_redirects=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"{to.shown} can't be reached ({type(error).__name__})"
    return "" if answer.is_success else f"{to.shown} answered {answer.status_code}"


def _run(told: dict[str, Any], to: Command) -> str:
    variables = {
        "PLAYHEAD_ALERT_ID": told["id"],
        "PLAYHEAD_ALERT_STATE": told["state"],
        "PLAYHEAD_ALERT_RULE": told["rule"],
        "PLAYHEAD_ALERT_OF": told["of"],
        "PLAYHEAD_ALERT_VALUE": "" if told["value"] is None else repr(told["value"]),
        "PLAYHEAD_ALERT_TEXT": told["text"],
    }
    # a variable can't hold it, and a name may
    variables = {name: value.replace("\0", "") for name, value in variables.items()}
    try:
        done = subprocess.run(  # noqa: S603 - the user's own rules name it
            to.words,
            input=json.dumps(told).encode(),
            env={**os.environ, **variables},
            cwd=to.folder,
            stdout=subprocess.DEVNULL,
            timeout=_COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{to.shown} took longer than {_COMMAND_S} s and was ended"
    except OSError as error:
        return f"{to.shown} can't be started: {(error.strerror or str(error)).lower()}"
    return "" if done.returncode == 0 else f"{to.shown} ended with {done.returncode}"
