"""OpenTelemetry's traces in and out: OTLP's two encodings, and the conventions by which spans are steps.

``protobuf`` and ``documents`` (JSON) read and write requests of ``span`` values; ``attributes`` is the one table of
names, ``reading`` makes a span into what a step is, ``steps`` into events; ``writing`` makes steps into spans. All pure.
The encodings are written here, and not taken from a library: they are two hundred lines, they are also wanted in
programs that only record, and the libraries pin a version of protobuf that such programs may not have.
"""
