"""Which errors may pass by themselves, by the exceptions that SDKs really raise."""

from __future__ import annotations

import aiohttp
import anthropic
import httpx
import openai
import pytest
import requests
import urllib3
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from router import StreamBroke, is_connection, is_rate_limit, is_timeout, is_transient

REQUEST = httpx.Request("POST", "http://127.0.0.1:1/v1")


def status(code, sdk=openai, *, body=None, **headers):
    response = httpx.Response(code, headers={name.replace("_", "-"): said for name, said in headers.items()})
    response.request = REQUEST
    return sdk.APIStatusError("no", response=response, body=body)


def throttled(code):
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": 400}, "Error": {"Code": code}}, "Converse")


class TestTransient:
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("no JSON"),
            KeyError("bug"),
            status(400),
            status(401),
            status(404),
            status(422, anthropic),
            status(429, body={"code": "insufficient_quota", "type": "insufficient_quota"}),
            status(429, x_should_retry="false"),
            throttled("ValidationException"),
            FileNotFoundError("prompt.txt"),
        ],
        ids=repr,
    )
    def test_what_stays_wrong_is_not(self, error):
        assert not is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [
            *(status(code) for code in (408, 409, 429, 500, 503)),
            status(529, anthropic),
            status(400, x_should_retry="true"),
            status(200, anthropic, body={"type": "error", "error": {"type": "overloaded_error"}}),
            throttled("ThrottlingException"),
            StreamBroke("small", "the connection was closed", "so f"),
            httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(502)),
            requests.HTTPError("no", response=type("R", (), {"status_code": 500, "headers": {}})()),
        ],
        ids=repr,
    )
    def test_what_a_server_may_get_over_is(self, error):
        assert is_transient(error)
        assert not is_timeout(error) or getattr(error, "status_code", None) == 408

    @pytest.mark.parametrize(
        "error",
        [
            TimeoutError(),
            openai.APITimeoutError(REQUEST),
            anthropic.APITimeoutError(REQUEST),
            httpx.ReadTimeout("slow"),
            requests.ReadTimeout(),
            urllib3.exceptions.ReadTimeoutError(None, "/", "slow"),
            ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
            aiohttp.ServerTimeoutError(),
        ],
        ids=lambda error: f"{type(error).__module__.split('.')[0]}.{type(error).__name__}",
    )
    def test_a_timeout_is_known_in_every_client(self, error):
        assert is_timeout(error)
        assert is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionResetError(),
            openai.APIConnectionError(request=REQUEST),
            anthropic.APIConnectionError(request=REQUEST),
            httpx.ConnectError("refused"),
            httpx.RemoteProtocolError("cut"),
            requests.ConnectionError(),
            requests.exceptions.ChunkedEncodingError(),
            urllib3.exceptions.ProtocolError("cut"),
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            aiohttp.ServerDisconnectedError(),
            aiohttp.ClientPayloadError(),
        ],
        ids=lambda error: f"{type(error).__module__.split('.')[0]}.{type(error).__name__}",
    )
    def test_a_broken_connection_is_known_in_every_client(self, error):
        assert is_connection(error)
        assert is_transient(error)

    def test_a_rate_limit_is_told_from_an_empty_account(self):
        assert is_rate_limit(status(429))
        assert is_rate_limit(throttled("ThrottlingException"))
        assert not is_rate_limit(status(429, body={"code": "insufficient_quota"}))
        assert not is_rate_limit(status(500))
