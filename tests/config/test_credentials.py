"""The key and the address: what is taken, what is refused, and that no key ever shows."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from ftetl.config.credentials import Secret, base_url, host_of, read_key, service
from ftetl.config.settings import Environ
from ftetl.errors import ConfigError
from tests.integration.canary import KEY, contains, encodings, pieces, words_pattern

OTHER = "canary-of-the-environment-zyx"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret:>10}",
        lambda secret: pickle.dumps(secret).decode("latin-1"),
        lambda secret: repr([secret, {"key": secret}]),
        lambda secret: str(pickle.loads(pickle.dumps(secret)).reveal()),
    ],
)
def test_a_secret_shows_itself_to_nobody(show) -> None:
    text = show(Secret(KEY, "TOGETHER_API_KEY"))

    assert "***" in text
    assert not contains(text)


def test_a_secret_survives_copying_and_tells_its_fingerprint() -> None:
    secret = Secret(KEY)

    assert copy.deepcopy(secret).reveal() == copy.copy(secret).reveal() == secret.reveal() == KEY
    assert secret.fingerprint == Secret(KEY).fingerprint != Secret(OTHER).fingerprint
    assert len(secret.fingerprint) == 8


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: ***."),
        (f"{KEY}{KEY} and {KEY}", "****** and ***"),
        (f"?key={quote(KEY, safe='')}&x", "?key=***&x"),
        (f"a part is no key: {KEY[:-1]}", f"a part is no key: {KEY[:-1]}"),
        ("short", "short"),
        ("", ""),
        (f"a\0b{KEY}", "a\0b***"),
    ],
)
def test_a_key_is_hidden_in_text(text: str, hidden: str) -> None:
    assert Secret(KEY).hide(text) == hidden
    assert Secret(KEY).hide_bytes(text.encode()) == hidden.encode()


@pytest.mark.parametrize("before", ["", "user:", "Bearer ", "x"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_is_hidden_in_base64_wherever_it_begins(before: str, encode: Callable[[bytes], bytes]) -> None:
    text = encode(f"{before}{KEY}, and more".encode()).decode()

    assert "***" in Secret(KEY).hide(text)
    assert not contains(Secret(KEY).hide(text))


@pytest.mark.parametrize("letters", ['k/+=-_.~!"%&?<>', "0123456789abcdef", "Zz" * 30])
def test_nothing_of_a_key_is_left_of_any_of_its_encodings(letters: str) -> None:
    secret = Secret(f"{letters}{KEY}")

    for form in encodings(secret.reveal()):
        for text in (form, f"<{form}>", f"{form} {form}"):
            assert not contains(secret.hide(text), words_pattern(pieces(secret.reveal())))
            assert secret.hide_bytes(text.encode()).decode() == secret.hide(text)


def test_in_many_bytes_a_key_is_hidden() -> None:
    many = bytes(100_000)

    for form in encodings(KEY):
        assert Secret(KEY).hide_bytes(many + form.encode() + b"\xff") == many + b"***\xff"


@pytest.mark.parametrize(
    "data",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f"{KEY}\r\n".encode(),
        f"  \t{KEY} \n\n".encode(),
        b"\xef\xbb\xbf" + KEY.encode() + b"\n",
    ],
)
def test_what_stands_around_a_key_in_its_file_is_no_part_of_it(tmp_path, data: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(data)

    assert read_key({"TOGETHER_API_KEY": OTHER}, file).reveal() == KEY


def test_without_a_file_the_environment_gives_the_key() -> None:
    key = read_key({"TOGETHER_API_KEY": f"{KEY}\n"}, None)

    assert (key.reveal(), key.source) == (KEY, "TOGETHER_API_KEY")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KEY[:12] + "\n" + KEY[12:], "position 13"),
        (KEY[:12] + "\r\nX-Evil: " + KEY[12:], "position 13"),
        (KEY[:12] + " " + KEY[12:], "position 13"),
        (KEY[:12] + "\0" + KEY[12:], "position 13"),
        (KEY + "é", f"position {len(KEY) + 1}"),
        (f"Bearer {KEY}", "position 7"),
        (KEY[:7], "7 characters"),
        (KEY * 40, "characters"),
        ("", "empty"),
        (" \n", "empty"),
    ],
)
@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_malformed_key_is_refused_and_never_shown(tmp_path, place: str, text: str, words: str) -> None:
    file = tmp_path / "key"
    file.write_text(text, newline="")
    words = words.replace("empty", "no API key") if place == "environment" else words

    with pytest.raises(ConfigError, match=words) as caught:
        read_key(Environ({"TOGETHER_API_KEY": text}), None) if place == "environment" else read_key({}, file)

    error = caught.value
    frames = traceback.walk_tb(error.__traceback__)
    ours = [
        frame.f_locals for frame, _ in frames if Path(frame.f_code.co_filename).match("ftetl/config/credentials.py")
    ]
    assert ours
    assert not contains(str(error) + repr(error) + repr(ours))
    assert error.__context__ is None


def test_no_key_at_all_says_where_to_put_one() -> None:
    with pytest.raises(ConfigError, match=r"no API key.*TOGETHER_API_KEY.*--api-key-file"):
        read_key({}, None)


def test_a_missing_key_file_is_no_reason_to_take_another_key(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key({"TOGETHER_API_KEY": OTHER}, tmp_path / "none")


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_key_file_that_all_can_read_is_used_with_a_warning(tmp_path, caplog, mode: int, warnings: int) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)

    assert read_key({}, file).reveal() == KEY
    assert warnings == len(caplog.records)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.together.ai", "https://api.together.ai/v1"),
        ("https://api.together.ai/", "https://api.together.ai/v1"),
        ("https://api.together.ai/v1", "https://api.together.ai/v1"),
        ("https://api.together.ai/v1/", "https://api.together.ai/v1"),
        (" HTTPS://API.Together.XYZ:443/v1\n", "https://api.together.xyz/v1"),
        ("https://gateway.example:8443/together", "https://gateway.example:8443/together/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.8.9.1:80/v1", "http://127.8.9.1/v1"),
        ("http://localhost:1", "http://localhost:1/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_may_be_written_with_or_without_v1(text: str, url: str) -> None:
    assert url == base_url(text, {}) == base_url(None, {"TOGETHER_BASE_URL": text})


def test_an_option_goes_before_the_environment_and_that_before_the_vendor() -> None:
    environ = {"TOGETHER_BASE_URL": "https://b.example"}

    assert base_url("https://a.example", environ) == "https://a.example/v1"
    assert base_url(None, environ) == "https://b.example/v1"
    assert base_url(None, {"TOGETHER_BASE_URL": ""}) == base_url(None, {}) == "https://api.together.ai/v1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://api.together.ai/v1", "in the clear"),
        ("http://192.168.0.1", "in the clear"),
        ("http://127.0.0.1.example.com", "in the clear"),
        ("http://localhost.example", "in the clear"),
        ("api.together.ai", "https://"),
        ("ftp://api.together.ai", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "no host"),
        ("https://me:canary-pass@api.together.ai", "user or a password"),
        ("https://canary-pass@api.together.ai", "user or a password"),
        ("https://api.together.ai/v1?key=canary-pass", "query"),
        ("https://api.together.ai/v1#canary-pass", "fragment"),
        ("https://api.together.ai/\ncanary-pass", "character"),
        ("https://api.together.ai:port", "is not an address"),
        ("https://[::1", "is not an address"),
        (
            "https://api-inference.together.ai",
            "inference, which has no fine-tuning jobs; write it like https://api.tog",
        ),
        ("https://API-Inference.Together.ai:443/v2", "inference"),
        ("https://api-inference.together.xyz/v1", "inference"),
    ],
)
@pytest.mark.parametrize("source", ["--base-url", "TOGETHER_BASE_URL"])
def test_an_address_that_would_give_the_key_away_is_refused_by_its_source(source: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        base_url(text, {}) if source == "--base-url" else base_url(None, {"TOGETHER_BASE_URL": text})

    assert source in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://api.together.ai", "together"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.together.xyz:8443", "api.together.xyz:8443"),
        ("https://gateway.example/together", "gateway.example"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
    ],
)
def test_the_two_hosts_of_the_vendor_are_one_service(text: str, name: str) -> None:
    assert name == service(base_url(text, {}))


def test_a_host_is_named_with_its_port() -> None:
    assert host_of("http://[::1]:8000/v1") == "[::1]:8000"
