#!/usr/bin/env bash
# Install the wheel in dist/ and its locked dependencies into an environment that has nothing else, and use it from an empty
# folder the way a user would: record, list, show, replay, examine, migrate, look.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
place=$(mktemp -d)
viewer=
finish() {
    [ -z "$viewer" ] || kill "$viewer" 2>/dev/null || true
    rm -rf "$place"
}
trap finish EXIT

.venv/bin/python -m venv "$place/env"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$place/env/bin/python" -m pip install -qq --require-hashes --requirement requirements/runtime.txt
"$place/env/bin/python" -m pip install -qq --no-deps --no-index dist/playhead-*.whl
"$place/env/bin/python" -m pip check

# nothing of the checkout may help: not the folder, not the environment
mkdir "$place/project"
cd "$place/project"
export PATH="$place/env/bin:$PATH" PLAYHEAD_HOME="$place/project/.playhead"
unset PYTHONPATH PLAYHEAD_DATABASE_URL

cat >pipeline.py <<'PYTHON'
from tracer import step, workflow


@step
def classify(text: str) -> str:
    return "refund" if "money" in text else "other"


@workflow
def support(text: str) -> str:
    return f"{classify(text)}: {text}"


if __name__ == "__main__":
    print(support("where is my money"))
PYTHON

# expect WORDS COMMAND...: the command must succeed and say the words, or we stop with what it said
expect() {
    local expected=$1 said
    shift
    said=$("$@" 2>&1) || { printf '%s failed:\n%s\n' "$*" "$said" >&2; exit 1; }
    grep --quiet --fixed-strings -- "$expected" <<<"$said" || { printf '%s does not say %s:\n%s\n' "$*" "$expected" "$said" >&2; exit 1; }
    echo "ok: $*"
}

expect "refund: where is my money" python pipeline.py
expect '"workflow": "support"' playhead ls --json
expect "classify" playhead show latest
expect '"outcome": "completed"' playhead replay latest --json
expect "store" playhead doctor
expect "is at schema" playhead db upgrade
expect "playhead, version" playhead --version
python - <<'PYTHON'
from importlib.resources import files

demo = files("web") / "_examples" / "support"
assert (demo / "demo.py").is_file(), "the wheel does not carry the demo"
assert any(item.name.endswith(".jsonl") for item in (demo / "data").iterdir()), "the wheel does not carry the demo's tickets"
PYTHON
echo "ok: the demo's files are in the wheel"

port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
playhead ui --port "$port" >viewer.log 2>&1 &
viewer=$!
fetch() { python -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' "$1"; }
for _ in $(seq 100); do
    if fetch "http://127.0.0.1:$port/" >page.html 2>fetch.log; then break; fi
    kill -0 "$viewer" 2>/dev/null || { echo "the viewer ended:" >&2; cat viewer.log >&2; exit 1; }
    sleep 0.2
done
grep --quiet support page.html || { echo "the viewer does not list the trace:" >&2; cat viewer.log fetch.log page.html >&2; exit 1; }
echo "ok: playhead ui"
