"""Images, sounds and documents, however a format writes them down."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracer.corpus import model_calls
from tracer.messages import Blob, Message
from tracer.providers.blobs import blobs_of

RAW = b"\x89PNG\r\n\xff\xff\xfe"
TEXT = base64.b64encode(RAW).decode()
PNG, WAV, PDF = "image/png", "audio/wav", "application/pdf"


class TestABlob:
    @pytest.mark.parametrize(
        ("part", "blob"),
        [
            ({"type": "image_url", "image_url": {"url": f"data:{PNG};base64,{TEXT}"}}, Blob(PNG, RAW)),
            (
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
                Blob(None, url="https://x.example/a.png"),
            ),
            ({"type": "image_url", "image_url": f"data:{PNG};base64,{TEXT}"}, Blob(PNG, RAW)),
            ({"type": "input_image", "image_url": f"data:{PNG};base64,{TEXT}"}, Blob(PNG, RAW)),
            ({"type": "input_audio", "input_audio": {"data": TEXT, "format": "wav"}}, Blob(WAV, RAW)),
            ({"type": "file", "file": {"file_data": f"data:{PDF};base64,{TEXT}"}}, Blob(PDF, RAW)),
            ({"type": "input_file", "file_id": "file-1"}, Blob(None, url="file-1")),
            ({"type": "image", "source": {"type": "base64", "media_type": PNG, "data": TEXT}}, Blob(PNG, RAW)),
            (
                {"type": "document", "source": {"type": "url", "url": "https://x.example"}},
                Blob(None, url="https://x.example"),
            ),
            ({"inlineData": {"mimeType": PNG, "data": TEXT}}, Blob(PNG, RAW)),
            ({"inlineData": {"mimeType": PNG, "data": TEXT.replace("/", "_").replace("+", "-")}}, Blob(PNG, RAW)),
            ({"inline_data": {"mime_type": PNG, "data": TEXT}}, Blob(PNG, RAW)),
            ({"fileData": {"mimeType": PDF, "fileUri": "gs://a/b"}}, Blob(PDF, url="gs://a/b")),
            ({"image": {"format": "png", "source": {"bytes": TEXT}}}, Blob(PNG, RAW)),
            ({"document": {"format": "pdf", "name": "d", "source": {"bytes": TEXT}}}, Blob(PDF, RAW)),
            (
                {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://a"}}}},
                Blob("video/mp4", url="s3://a"),
            ),
            ({"type": "image", "data": TEXT}, Blob(None, RAW)),
        ],
        ids=lambda value: None if isinstance(value, Blob) else "-".join(value),
    )
    def test_is_found_in_every_formats_part(self, part, blob):
        assert blobs_of(Message("user", "", parts=(part,))) == (blob,)

    @pytest.mark.parametrize(
        "part", [{"type": "server_tool_use", "input": {}}, {}, {"type": "image", "data": "no base64!"}]
    )
    def test_is_none_where_a_part_shows_nothing(self, part):
        assert blobs_of(Message("user", "", parts=(part,))) == ()

    def test_is_found_in_every_recorded_message_that_shows_something(self):
        shown = 0
        for exchange in (each for group in model_calls().values() for each in group):
            for message in exchange.request.messages:
                blobs = blobs_of(message)
                shown += len(blobs)
                kinds = [
                    part for part in message.parts if {"image_url", "inlineData", "image", "inline_data"} & {*part}
                ]
                assert len(blobs) >= len(kinds), (exchange.id, kinds)
        assert shown >= 20

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda inner: st.dictionaries(
                st.sampled_from("type data url image source image_url format bytes file media_type".split()),  # noqa: SIM905
                inner,
            ),
        )
    )
    def test_may_be_anything(self, value):
        part = value if isinstance(value, dict) else {"image": value}
        assert all(isinstance(blob, Blob) for blob in blobs_of(Message("user", "", parts=(part,))))
