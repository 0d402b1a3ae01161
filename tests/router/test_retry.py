"""When to come again: what we draw, and what providers ask for."""

from __future__ import annotations

import datetime as dt
import math
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Retry
from router.waits import asked_wait_s, headers_of, status_of

NOW_S = 1_790_000_000.0


def now():
    return NOW_S


def at(seconds):
    return dt.datetime.fromtimestamp(NOW_S + seconds, dt.UTC)


def refused(status=429, **headers):
    """What httpx raises for such an answer; underscores stand for hyphens."""
    response = httpx.Response(
        status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        request=httpx.Request("POST", "http://127.0.0.1:1/v1"),
    )
    return httpx.HTTPStatusError("no", request=response.request, response=response)


class TestRetry:
    def test_there_is_no_default_for_what_is_retryable(self):
        with pytest.raises(TypeError, match="on"):
            Retry()

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"attempts": 0}, "attempts >= 1"),
            ({"base_s": -1}, "base_s >= 0"),
            ({"base_s": math.nan}, "base_s"),
            ({"cap_s": math.inf}, "cap_s"),
            ({"factor": 0.5}, "factor >= 1"),
            ({"jitter": "some"}, "jitter"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused_by_name(self, wrong, named):
        with pytest.raises(ValueError, match=named):
            Retry(on=TimeoutError, **wrong)

    def test_the_bound_doubles_up_to_the_cap(self):
        retry = Retry(on=TimeoutError, base_s=0.5, cap_s=3.0)
        assert [retry.bound_s(number) for number in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]

    @given(
        st.floats(0, 1e6),
        st.floats(1, 1e6),
        st.floats(0, 1e6),
        st.integers(1, 10**6),
        st.floats(0, 1, exclude_max=True),
    )
    def test_a_wait_lies_between_nothing_and_the_bound_however_late_the_retry(
        self, base_s, factor, cap_s, number, draw
    ):
        retry = Retry(on=TimeoutError, base_s=base_s, factor=factor, cap_s=cap_s)
        wait = retry.wait_s(TimeoutError(), number, draw=lambda: draw, now_s=now)
        assert 0 <= wait <= retry.bound_s(number) <= cap_s

    def test_full_jitter_is_a_share_of_the_bound_and_none_is_the_bound(self):
        for jitter, wait in (("full", 0.5), ("none", 2.0)):
            retry = Retry(on=TimeoutError, base_s=1.0, jitter=jitter)
            assert retry.wait_s(TimeoutError(), 2, draw=lambda: 0.25, now_s=now) == wait

    def test_what_the_provider_asks_for_is_the_least(self):
        retry = Retry(on=TimeoutError, base_s=1.0, jitter="none")
        assert retry.wait_s(refused(retry_after="7"), 1, draw=lambda: 0.5, now_s=now) == 7.0
        assert retry.wait_s(refused(retry_after="0"), 1, draw=lambda: 0.5, now_s=now) == 1.0

    def test_more_than_the_cap_is_no_wait_at_all(self):
        retry = Retry(on=TimeoutError, cap_s=5.0)
        assert retry.wait_s(refused(retry_after="6"), 1, draw=lambda: 0.5, now_s=now) is None

    def test_nothing_is_drawn_where_nothing_depends_on_it(self):
        def draw():
            raise AssertionError

        assert Retry(on=TimeoutError, jitter="none").wait_s(TimeoutError(), 1, draw=draw, now_s=now) == 0.5
        assert Retry(on=TimeoutError, base_s=0).wait_s(TimeoutError(), 1, draw=draw, now_s=now) == 0.0


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"retry_after": "1.5"}, 1.5),
            ({"retry_after": "-1"}, None),
            ({"retry_after": "soon"}, None),
            ({"retry_after": "nan"}, None),
            ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
            ({"retry_after": format_datetime(at(90), usegmt=True)}, 90.0),
            ({"retry_after": format_datetime(at(-90), usegmt=True)}, 0.0),
            # counted by the server's clock, which need not be ours
            ({"retry_after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10.0),
            ({"x_ratelimit_reset_requests": "1s"}, 1.0),
            ({"x_ratelimit_reset_tokens": "6m0s"}, 360.0),
            ({"x_ratelimit_reset_tokens": "1h2m3.5s"}, 3723.5),
            ({"x_ratelimit_reset_tokens": "20ms"}, 0.02),
            ({"x_ratelimit_reset_tokens": "12"}, 12.0),
            ({"x_ratelimit_reset_tokens": "a while"}, None),
            ({"x_ratelimit_reset_tokens": "9" * 400 + "s"}, None),
            ({"x_ratelimit_reset": f"{NOW_S + 3:.0f}"}, 3.0),
            ({"x_ratelimit_reset": f"{(NOW_S + 4) * 1000:.0f}"}, 4.0),
            ({"anthropic_ratelimit_tokens_reset": at(5).isoformat()}, 5.0),
            ({"anthropic_ratelimit_tokens_reset": at(5).strftime("%Y-%m-%dT%H:%M:%SZ")}, 5.0),
            ({"anthropic_ratelimit_tokens_reset": at(-5).isoformat()}, 0.0),
            # the limit that is used up decides; of two, the later
            (
                {
                    "x_ratelimit_reset_requests": "2s",
                    "x_ratelimit_remaining_requests": "0",
                    "x_ratelimit_reset_tokens": "9s",
                    "x_ratelimit_remaining_tokens": "100",
                },
                2.0,
            ),
            ({"x_ratelimit_reset_requests": "2s", "x_ratelimit_reset_tokens": "9s"}, 2.0),
            (
                {
                    "anthropic_ratelimit_requests_reset": at(2).isoformat(),
                    "anthropic_ratelimit_requests_remaining": "0",
                    "anthropic_ratelimit_tokens_reset": at(3).isoformat(),
                    "anthropic_ratelimit_tokens_remaining": "0",
                },
                3.0,
            ),
            ({"retry_after": "1", "x_ratelimit_reset_requests": "9s"}, 1.0),
        ],
        ids=str,
    )
    def test_headers_are_read_in_every_form_that_providers_use(self, headers, seconds):
        assert asked_wait_s(refused(**headers), now) == seconds

    def test_resets_say_nothing_about_a_server_error(self):
        assert asked_wait_s(refused(500, x_ratelimit_reset_tokens="6m0s"), now) is None
        assert asked_wait_s(refused(500, retry_after="2"), now) == 2.0

    def test_an_error_of_our_own_says_it_itself(self):
        error = TimeoutError()
        error.retry_after_s = 4
        assert asked_wait_s(error, now) == 4.0

    def test_botocore_keeps_its_headers_in_a_dictionary(self):
        from botocore.exceptions import ClientError

        metadata = {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "3"}}
        error = ClientError({"ResponseMetadata": metadata, "Error": {"Code": "ThrottlingException"}}, "Converse")
        assert (asked_wait_s(error, now), status_of(error)) == (3.0, 429)

    def test_what_is_no_answer_asks_for_nothing(self):
        assert asked_wait_s(ValueError("no"), now) is None
        assert (headers_of(ValueError()), status_of(ValueError())) == ({}, None)

    @given(
        st.dictionaries(
            st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "date"]), st.text()
        )
    )
    def test_no_header_breaks_it(self, headers):
        error = ValueError()
        error.status_code, error.headers = 429, headers
        asked = asked_wait_s(error, now)
        assert asked is None or (math.isfinite(asked) and asked >= 0)
