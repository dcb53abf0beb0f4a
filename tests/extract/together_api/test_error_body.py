"""Text from the other side: found where it may be, and never shown as it came."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from ftetl.config.credentials import Secret
from ftetl.extract.together_api.error_body import error_message, is_markup, printable, request_id
from tests.integration import canary

KEY = Secret(canary.KEY)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"No such job","type":"not_found","param":null,"code":null}}', "No such job"),
        (b'{"error":{"type":"not_found"}}', "not_found"),
        (b'{"error":"No such job"}', "No such job"),
        (b'{"message":"No such job"}', "No such job"),
        (b'{"code":5,"message":"No such job","details":[]}', "No such job"),
        (b'\xef\xbb\xbf{"message":"No such job"}', "No such job"),
        (b'{"error":{"message":5}}', ""),
        (b"[1]", ""),
        (b"upstream request timeout", "upstream request timeout"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"message":"\xff"}', '{"message":"\ufffd"}'),
        (b"[" * 5000, "[" * 5000),
        (b"<html><body>canary</body></html>", ""),
        (b"", ""),
    ],
)
def test_the_message_is_read_from_every_shape_of_an_error(body: bytes, said: str) -> None:
    assert said == error_message(body)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, with ünïcode", "plain text, with ünïcode"),
        ("two\nlines\r\n\x1b]0;title\x07", "two\\u000alines\\u000d\\u000a\\u001b]0;title\\u0007"),
        ("a\u202eb\u2066c\u200b", "a\\u202eb\\u2066c\\u200b"),
        (f"Incorrect API key provided: {canary.KEY}", "Incorrect API key provided: ***"),
        (f"your key {quote(canary.KEY, safe='')} is known", "your key *** is known"),
        (f"{'x ' * 395}{canary.KEY}", f"{'x ' * 99}x…"),
        ("ask jane.doe+ft@example.com, please", "ask ***, please"),
        ("token fedcba98fedcba98fedcba98fedcba98 gone", "token *** gone"),
        ("x y " * 100, ("x y " * 100)[:199] + "…"),
        ("", ""),
    ],
)
def test_server_text_is_made_printable(text: str, shown: str) -> None:
    assert shown == printable(text, KEY)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<!DOCTYPE html>", True),
        (b" \r\n\t<html>", True),
        (b"\xef\xbb\xbf<html>", True),
        (b'{"data":[]}', False),
        (b"", False),
    ],
)
def test_a_web_page_is_recognised_by_its_first_character(body: bytes, expected: bool) -> None:
    assert expected is is_markup(body)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"cf-ray": "8f2a-FRA", "x-request-id": "r1"}, "8f2a-FRA"),
        ({"cf-ray": "8f2a-FRA", "x-together-request-id": "req_7.a-b"}, "req_7.a-b"),
        ({"cf-ray": "8f2a-FRA", "x-together-request-id": "\x1b[2J"}, "8f2a-FRA"),
        ({"x-request-id": "r1"}, "r1"),
        ({"x-request-id": "r1\x1b[2J"}, ""),
        ({"x-request-id": base64.urlsafe_b64encode(canary.KEY.encode()).decode().rstrip("=")}, ""),
        ({"x-request-id": "r" * 65}, ""),
        ({}, ""),
    ],
)
def test_a_request_id_is_shown_if_it_looks_like_one(headers: dict[str, str], shown: str) -> None:
    assert shown == request_id(headers, KEY)
