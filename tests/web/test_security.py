from __future__ import annotations

import pytest

from tests.web.conftest import HERE, Seeded, viewer
from web import create_app
from web.security import CONTENT_SECURITY_POLICY, name_of


class TestHeaders:
    def test_every_answer_forbids_what_our_pages_do_not_need(self, seeded: Seeded) -> None:
        for path in ("/", "/about.json", "/nowhere", "/static/app.css", "/theme?to=dark"):
            headers = seeded.client.get(path, follow_redirects=False).headers
            assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"

    def test_nothing_is_allowed_that_is_not_named(self) -> None:
        assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert "http" not in CONTENT_SECURITY_POLICY

    def test_pages_are_never_cached_and_static_files_for_good(self, seeded: Seeded) -> None:
        assert seeded.client.get("/").headers["cache-control"] == "no-store"
        assert "immutable" in seeded.client.get("/static/app.css?v=abc").headers["cache-control"]

    def test_raw_bytes_are_a_download_and_never_a_page(self, seeded: Seeded) -> None:
        root = seeded.store.trace(seeded.ids["garbled"]).root
        assert root is not None
        assert root.input is not None
        answer = seeded.client.get(f"/p/{root.input.digest}/raw")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")


class TestHost:
    @pytest.mark.parametrize("host", ["127.0.0.1:7420", "localhost:1", "[::1]:7420", "localhost"])
    def test_this_machine_is_answered(self, seeded: Seeded, host: str) -> None:
        assert seeded.client.get("/about", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:7420", "", "[bad", "10.0.0.8"]
    )
    def test_any_other_name_is_refused(self, seeded: Seeded, host: str) -> None:
        assert seeded.client.get("/", headers={"host": host}).status_code == 421

    def test_names_are_read_without_their_port(self) -> None:
        assert [name_of(host) for host in ("[::1]:80", "LocalHost:7", "a.b", "[")] == ["::1", "localhost", "a.b", ""]


class TestToken:
    def test_is_wanted_by_every_address(self, seeded: Seeded) -> None:
        with viewer(create_app(seeded.store, token="s3cret")) as client:
            for path in ("/", "/traces.json", "/static/app.css", "/about"):
                assert client.get(path).status_code == 401, path
                assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
                assert client.get(path, headers={"authorization": "Bearer s3cret"}).status_code == 200

    def test_in_the_address_becomes_a_cookie_and_leaves_the_address(self, seeded: Seeded) -> None:
        with viewer(create_app(seeded.store, token="s3cret")) as client:
            answer = client.get("/?status=failed&token=s3cret", follow_redirects=False)
            assert answer.status_code == 303
            assert answer.headers["location"] == "/?status=failed"
            assert "s3cret" not in answer.headers["set-cookie"]
            assert client.get("/").status_code == 200

    def test_allows_other_names_than_this_machines(self, seeded: Seeded) -> None:
        with viewer(create_app(seeded.store, token="s3cret")) as client:
            headers = {"host": "box.example", "authorization": "Bearer s3cret"}
            assert client.get("/", headers=headers).status_code == 200


class TestOrigin:
    def test_reading_needs_none(self, seeded: Seeded) -> None:
        assert seeded.client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200

    def test_a_form_from_elsewhere_is_refused_before_anything_is_read(self, seeded: Seeded) -> None:
        path = f"/t/{seeded.ids['garbled']}/replay"
        answer = seeded.client.post(path, data={}, headers={"origin": "http://127.0.0.1:9999"})
        assert answer.status_code == 403
        assert seeded.client.post(path, data={}, headers={"origin": HERE}).status_code == 403
