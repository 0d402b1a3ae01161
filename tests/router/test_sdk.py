"""Retries of SDKs below a Router: switched off, or told."""

from __future__ import annotations

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from router import AllTargetsFailed, Retry, Router, Target, is_transient, without_sdk_retries
from router.routed import SDK_RETRIES
from tests.loopback import Loopback, Reply
from tracer import workflow

ONE = Target("one")
ASKED = [{"role": "user", "content": "hi"}]


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


def busy(server, times):
    server.next(*(Reply(status=500, headers={"retry-after-ms": "1"}) for _ in range(times)))


class TestWithoutSdkRetries:
    def test_openai_asks_once(self, server):
        with openai.OpenAI(base_url=server.url, api_key="k") as made:
            client = without_sdk_retries(made)
            busy(server, 1)
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model="m", messages=ASKED)
            assert (len(server.seen), made.max_retries) == (1, 2)

    def test_anthropic_asks_once(self, server):
        with anthropic.Anthropic(base_url=server.url.removesuffix("/v1"), api_key="k") as made:
            busy(server, 1)
            with pytest.raises(anthropic.InternalServerError):
                without_sdk_retries(made).messages.create(model="m", messages=ASKED, max_tokens=9)
        assert len(server.seen) == 1

    @pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
    def test_boto3_asks_once_whatever_its_mode(self, server, mode):
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=server.url.removesuffix("/v1"),
            region_name="us-east-1",
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=Config(retries={"mode": mode, "total_max_attempts": 4}),
        )
        assert without_sdk_retries(client) is client
        busy(server, 1)
        with pytest.raises(ClientError):
            client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])
        assert len(server.seen) == 1

    def test_another_client_is_refused_by_name(self):
        with pytest.raises(TypeError, match="not dict"):
            without_sdk_retries({})


class TestMultiplied:
    def test_attempts_of_the_sdk_are_told_on_the_routers_step(self, server, recorded):
        router = Router([ONE], retry=Retry(on=is_transient, attempts=2, base_s=0.0), name="draft")

        @workflow
        def answer():
            with openai.OpenAI(base_url=server.url, api_key="k", max_retries=1) as client:
                return router.call(lambda attempt: client.chat.completions.create(model="m", messages=ASKED))

        busy(server, 4)
        with pytest.raises(AllTargetsFailed):
            answer()
        assert len(server.seen) == 4
        (step,) = (each for each in recorded().steps if each.name == "draft")
        assert step.tags[SDK_RETRIES] == 2

    def test_without_any_nothing_is_told(self, server, recorded):
        router = Router([ONE], retry=Retry(on=is_transient, attempts=2, base_s=0.0), name="draft")

        @workflow
        def answer():
            with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
                router.call(lambda attempt: client.chat.completions.create(model="m", messages=ASKED))

        busy(server, 1)
        answer()
        (step,) = (each for each in recorded().steps if each.name == "draft")
        assert SDK_RETRIES not in step.tags
