"""Compressed bodies, read from the pieces that they came in."""

from __future__ import annotations

import gzip
import zlib
from typing import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tracer.http.inflate import encodings_of, inflated
from tracer.wire import Chunk, HttpResponse


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "members": ("x-gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    "deflate": ("deflate", zlib.compress),
    "raw": ("Deflate", raw_deflate),
    "zstd": ("zstd", zstandard.compress),
    "twice": ("gzip, zstd", lambda data: zstandard.compress(gzip.compress(data))),
}
EACH = pytest.mark.parametrize("way", list(WAYS))


def response(encoding: str, data: bytes, size: int) -> HttpResponse:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    chunks = tuple(Chunk(10 * number, piece) for number, piece in enumerate(pieces))
    return HttpResponse(200, (("Content-Encoding", encoding),), chunks)


class TestACompressedBody:
    @EACH
    @given(data=st.binary(max_size=400), size=st.integers(1, 60))
    def test_is_read_whole_whatever_pieces_it_came_in(self, way, data, size):
        encoding, compress = WAYS[way]
        pieces = list(inflated(response(encoding, compress(data), size)))
        assert b"".join(piece for _, piece in pieces) == data
        assert [at for at, _ in pieces] == sorted(at for at, _ in pieces)

    @EACH
    @given(data=st.binary(max_size=400), cut=st.integers(0, 500))
    def test_that_was_cut_off_gives_what_could_be_read(self, way, data, cut):
        encoding, compress = WAYS[way]
        assert data.startswith(b"".join(piece for _, piece in inflated(response(encoding, compress(data)[:cut], 16))))

    @EACH
    @given(data=st.binary(min_size=1, max_size=200), size=st.integers(1, 60))
    def test_that_is_not_what_its_headers_say_raises_nothing(self, way, data, size):
        assert list(inflated(response(WAYS[way][0], data, size))) is not None

    @given(data=st.binary(max_size=200))
    def test_of_an_unknown_kind_is_given_as_it_is(self, data):
        given_back = response("identity, aws-chunked", data, 16)
        assert encodings_of(given_back) == []
        assert b"".join(piece for _, piece in inflated(given_back)) == data
