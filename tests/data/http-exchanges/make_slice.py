"""Draw the slice that is shipped from the whole collection; run from the repository, which must be on the path.

SOURCE.md says what comes out.

Of each class of exchanges (provider, host, endpoint, status, streaming, tools, what the usage counts) those with the
smallest hash of their id, among the ones of a bearable size. Nothing of an exchange is changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections import defaultdict

from tests.tracer.corpus import COLLECTION, SLICE, Exchange, exchanges, spans

#: Of each class; a second one is taken only where it is small.
MOST, SMALL_BYTES, BEARABLE_BYTES = 2, 8_000, 45_000
#: What is compared with what other instrumentations said; the rest of a span stays behind.
COMPARED = re.compile(
    r"model|finish_reason|usage\.|token_count\.|output_messages\.\d+\.message\.(tool_calls|function_call_name)"
    r"|gen_ai\.output\.messages"
)


def class_of(exchange: Exchange) -> tuple[str, ...]:
    path = re.sub(r"[\w-]*\d[\w.:%-]*", "*", exchange.path)
    counted = sorted((exchange.answer.usage.raw or {}) if exchange.format is not None else ())
    flags = (exchange.raw["stream"], exchange.raw["has_tools"], exchange.raw["has_tool_call"])
    host = re.sub(r"^[\w-]+\.", "*.", exchange.host)
    return (exchange.provider, host, path, str(exchange.status), str(exchange.how), *map(str, flags), *counted)


def size_of(exchange: Exchange) -> int:
    return len(json.dumps(exchange.raw))


def chosen() -> list[Exchange]:
    classes: dict[tuple[str, ...], list[Exchange]] = defaultdict(list)
    for exchange in exchanges():
        classes[class_of(exchange)].append(exchange)
    taken = []
    for members in classes.values():
        drawn = sorted(members, key=lambda each: hashlib.sha256(each.id.encode()).digest())
        bearable = [each for each in drawn if size_of(each) <= BEARABLE_BYTES] or [min(drawn, key=size_of)]
        taken += [bearable[0], *(each for each in bearable[1:] if size_of(each) <= SMALL_BYTES)][:MOST]
    return sorted(taken, key=lambda each: (each.provider, each.id))


def write(name: str, rows: list[dict]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    # without a name and a time in it, the file depends on nothing but the rows
    (SLICE / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    sys.stdout.write(f"{name}: {len(rows)} rows, {(SLICE / name).stat().st_size} bytes\n")


def main() -> None:
    if not (COLLECTION / "http-exchanges").is_dir():
        raise SystemExit("the whole collection isn't here: name its folder in PLAYHEAD_TEST_CORPUS")
    taken = chosen()
    ids = {each.id for each in taken}
    write("exchanges.jsonl.gz", [each.raw for each in taken])
    told = []
    for span in spans():
        if span["exchange_id"] in ids:
            attributes = {key: value for key, value in span["span"]["attributes"].items() if COMPARED.search(key)}
            told.append({**span, "span": {"name": span["span"]["name"], "attributes": attributes}})
    write("spans.jsonl.gz", told)


if __name__ == "__main__":
    main()
