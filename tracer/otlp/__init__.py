"""OpenTelemetry's traces in and out: OTLP's two encodings, and the conventions by which spans are steps.

``protobuf`` and ``documents`` (JSON) read and write requests of ``span`` values; ``attributes`` is the one table of
names. ``reading`` says what a span is as a step, ``places`` where it stands, ``steps`` makes events of it; ``writing``
makes spans of steps. All pure.
The encodings are written here, not taken from a library: they are a few hundred lines, they are also wanted in
programs that only record, and the library pins a version of protobuf that such programs may not have.
"""
