"""Secrets are found by the keys before them and by their own form, and nothing else is."""

from __future__ import annotations

import base64
import json
import re
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftetl.raw import secret_forms
from ftetl.raw.blob import Memory
from ftetl.raw.secret_masking import mask_everything, may_need_masking
from ftetl.raw.secret_names import KeyKind, classify_key

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        (rb'{"apiKey":"abc"}', rb'{"apiKey":"***"}'),
        (rb'{"x-api-key" : 12345}', rb'{"x-api-key" : "***"}'),
        (rb'{"credentials":{"user":"a","b":["c"]},"d":1}', rb'{"credentials":"***","d":1}'),
        (rb'{"k":"{\"client_secret\":\"s\\\"x\",\"b\":1}"}', rb'{"k":"{\"client_secret\":\"***\",\"b\":1}"}'),
        (rb'{"k":"{\"password\":{\"a\":[1,2]},\"b\":1}"}', rb'{"k":"{\"password\":\"***\",\"b\":1}"}'),
        (rb'{"k":"{\"password\":5}"}', rb'{"k":"{\"password\":\"***\"}"}'),
        (
            rb'{"k":"{\"a\":\"{\\\"api_token\\\":\\\"secret-1\\\"}\"}"}',
            rb'{"k":"{\"a\":\"{\\\"api_token\\\":\\\"***\\\"}\"}"}',
        ),
        (rb'{"\u0061pi_\u006bey":"abc"}', rb'{"\u0061pi_\u006bey":"***"}'),
        (rb"{'api_key': 'abc', 'b': 1}", rb"{'api_key': '***', 'b': 1}"),
        (rb'{"a":"use Bearer abcdef12345 now"}', rb'{"a":"use Bearer *** now"}'),
        (rb'{"a":"https:\/\/ann:pw@h\/x"}', rb'{"a":"https:\/\/ann:***@h\/x"}'),
        (rb'{"a":"postgres://ann:pw@h:5432/x?y"}', rb'{"a":"postgres://ann:***@h:5432/x?y"}'),
        (
            rb'{"a":"-----BEGIN RSA PRIVATE KEY-----\nab\n-----END RSA PRIVATE KEY----- x"}',
            rb'{"a":"*** x"}',
        ),
        (rb'{"a":"-----BEGIN PRIVATE KEY-----\nab","b":1}', rb'{"a":"***","b":1}'),
        (rb'{"authorization":"Bearer a","token":"abcdef"}', rb'{"authorization":"***","token":"***"}'),
        (rb'{"password":"cut off', rb'{"password":"***"'),
        (rb'{"name":"Authorization","value":"a b"}', rb'{"name":"Authorization","value":"***"}'),
        (rb'{"value":"s3","on":true,"key":"api_key"}', rb'{"value":"***","on":true,"key":"api_key"}'),
        (
            rb'[{"name":"x","value":"a"},{"name":"jwt","value":"b"}]',
            rb'[{"name":"x","value":"a"},{"name":"jwt","value":"***"}]',
        ),
        (
            rb'{"k":"[{\"name\":\"password\",\"x\":{},\"value\":\"a b\"}]"}',
            rb'{"k":"[{\"name\":\"password\",\"x\":{},\"value\":\"***\"}]"}',
        ),
        (rb'{"env":["WANDB_API_KEY=local-a1","A=b"]}', rb'{"env":["WANDB_API_KEY=***","A=b"]}'),
        (rb'{"a":"export WANDB_API_KEY=abc12345 && x"}', rb'{"a":"export WANDB_API_KEY=*** && x"}'),
        (
            rb'{"a":"x --api-key abc12345 -q","b":["--hf-token","abc12345"]}',
            rb'{"a":"x --api-key *** -q","b":["--hf-token","***"]}',
        ),
        (rb'{"a":"password=Hunter_Hunter, user=x"}', rb'{"a":"password=***, user=x"}'),
        (rb'{"a":"password=\"Hunter22\" x"}', rb'{"a":"password=\"***\" x"}'),
        (rb'{"a":"your API key: abc12345. Token: ab\/c12345"}', rb'{"a":"your API key: ***. Token: ***"}'),
        (rb'{"a":"Authorization: Basic YW5uOnBhc3N3b3JkMQ=="}', rb'{"a":"Authorization: Basic ***"}'),
        (rb'{"a":["Basic YW5uOnBhc3N3b3Jk"]}', rb'{"a":["Basic ***"]}'),
        (rb'{"a":"Basic YW5uOnBhc3N3b3Jk/"}', rb'{"a":"Basic ***"}'),
        (rb'{"u":"https://h/x?a=1&api_key=abc12345&b=2"}', rb'{"u":"https://h/x?a=1&api_key=***&b=2"}'),
        (rb'{"u":"/x?a=1\u0026token=abc12345\u0026b=2"}', rb'{"u":"/x?a=1\u0026token=***\u0026b=2"}'),
        (rb'{"u":"/?X-Amz-Signature=0123456789abcdef&X=1"}', rb'{"u":"/?X-Amz-Signature=***&X=1"}'),
        (rb'{"u":"/?sv=1&sig=0123456789abcdef%3D&x"}', rb'{"u":"/?sv=1&sig=***&x"}'),
    ],
)
def test_what_is_secret_is_masked(raw: bytes, masked: bytes) -> None:
    assert mask_everything(raw) == masked
    assert may_need_masking([Memory(raw), Memory(b"{}")]) == [True, False]
    assert may_need_masking([Memory(raw)]) == [True]
    assert mask_everything(masked) == masked


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"api_key":null,"password":"","has_password":true,"cookies":[],"secrets":{},"wandb_key":null}',
        rb'{"token_count":7,"prompt_token_count":5,"tokenizer":"llama-bpe","max_tokens":9,"price_per_token":0.5}',
        rb'{"eos_token":"<|end_of_text|>","pad_token":"<pad>","token":" the","token_id":5}',
        rb'{"id":"task-aaaaaaaaaaaaaaaaaaaaaaa1","file":"risk-bbbbbbbbbbbbbbbbbbbbbbbbb2","m":"sk-learn/a-long-name-of-it"}',
        rb'{"message":"the bearer authentication failed","u":"https://h.example:8080/a@b","mail":"a@b.example"}',
        rb'{"a":"token: ","b":12345678,"c":["token: ",12345678,2],"auth":true,"pass":3,"jwt":{},"dsn":null}',
        rb'{"a":"password: *** api_key=$WANDB_API_KEY api_key=None token: 12345678 next token: Abcdefgh1"}',
        rb'{"a":"--learning-rate 0.00001234 --key-size 12345678 keyword: Abcdefgh1 wrong password: the one"}',
        rb'{"tokens":"a1b2c3d4e5","session_id":"a1b2c3d4e5","a":"session_id=a1b2c3d4e5 author: A1b2c3d4e5"}',
        rb'{"m":"basic information","n":"Basic YWJjZGVmZ2g=","metrics":[{"name":"token_count","value":12345678}]}',
        rb'{"name":"cookie","x":{"value":"a1b2c3d4e5"}}',
        rb'{"model":"hf_internal/testing","x":"AKIA","y":"eyJhbGciOiJIUzI1NiJ9","z":"-----BEGIN CERTIFICATE-----"}',
    ],
)
def test_what_is_not_secret_stays(raw: bytes) -> None:
    assert mask_everything(raw) == raw


def test_a_value_ends_with_its_line() -> None:
    raw = b'{"id":"ft-1","password":"cut\n{"id":"ft-2"}\n'

    assert mask_everything(raw, lines=True) == b'{"id":"ft-1","password":"***"\n{"id":"ft-2"}\n'


def test_what_is_masked_is_counted_and_a_key_that_may_be_a_secret_is_not_told() -> None:
    found: Counter[str] = Counter()
    mask_everything(b'{"api_key":"a","b":{"api_key":"c"},"password_12345678":"d","e":"AKIAABCDEFGHIJKLMNOP"}', found)

    assert found == {"api_key": 2, "other keys": 1, "AWS key": 1}


SECRET = "hf_aaaaaaaaaaaaaaaaaaaaaa"


def test_secrets_that_are_keys_of_one_object_stay_different_keys() -> None:
    raw = {"a": {SECRET + "1": 1, SECRET + "2": {SECRET + "3": 2}, SECRET + "4": [{SECRET + "1": 3}]}, SECRET: 4}
    masked = mask_everything(json.dumps(raw).encode())

    assert json.loads(masked) == {"a": {"***": 1, "***2": {"***": 2}, "***3": [{"***": 3}]}, "***": 4}
    assert mask_everything(masked) == masked


def test_a_key_that_is_a_secret_and_stands_twice_in_an_object_stays_twice() -> None:
    assert mask_everything(b'{"%b":1,"%b":2}' % (SECRET.encode(), SECRET.encode())) == b'{"***":1,"***":2}'


ALNUM = string.ascii_letters + string.digits
DIGITS = st.text(ALNUM, min_size=40, max_size=60).map(lambda text: text[:20] + "7" + text[20:])
FORMS = {
    "Bearer": DIGITS.map(lambda t: f"Bearer {t}"),
    "hf_": DIGITS.map(lambda t: f"hf_{t}"),
    "sk-": DIGITS.map(lambda t: f"sk-proj-{t}"),
    "tgp_": DIGITS.map(lambda t: f"tgp_v1_{t}"),
    "AWS key": st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map(lambda t: f"ASIA{t}"),
    "GitHub token": DIGITS.map(lambda t: f"ghp_{t}") | DIGITS.map(lambda t: f"github_pat_{t}"),
    "Slack token": DIGITS.map(lambda t: f"xoxb-{t}"),
    "Google key": DIGITS.map(lambda t: f"AIza{t}"),
    "JWT": st.tuples(DIGITS, DIGITS, DIGITS).map(lambda t: f"eyJ{t[0]}.eyJ{t[1]}.{t[2]}"),
    "private key": DIGITS.map(lambda t: f"-----BEGIN PRIVATE KEY-----\n{t}\n-----END PRIVATE KEY-----\n"),
    "password in a URL": DIGITS.map(lambda t: f"https://ann:{t}@host.example/"),
    "Basic": DIGITS.map(lambda t: f"Basic {base64.b64encode(f'ann:{t}'.encode()).decode()}"),
    "NAME=": DIGITS.map(lambda t: f"WANDB_API_KEY={t}"),
    "name: ": DIGITS.map(lambda t: f"token: {t}"),
    "--name ": DIGITS.map(lambda t: f"--api-key {t}"),
    "query": DIGITS.map(lambda t: f"https://host.example/?a=1&api_key={t}&b=2"),
    "signature": DIGITS.map(lambda t: f"https://host.example/?X-Amz-Signature={t}&b=2"),
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_secret_of_a_known_form_is_masked_wherever_it_is(form: str, data: st.DataObject) -> None:
    secret = data.draw(FORMS[form])
    around = data.draw(st.text(' .,;:()[]{}"\\/\n<>é', max_size=5))
    place: Any = f"{around}{secret}{around}"
    for step in data.draw(st.lists(st.sampled_from(["list", "object", "text"]), max_size=4)):
        beside = data.draw(values)
        place = {"list": [beside, place], "object": {"a": beside, "b": place}, "text": json.dumps({"c": place})}[step]
    raw = json.dumps({"id": "ft-1", "x": place}, ensure_ascii=data.draw(st.booleans())).encode()
    masked = mask_everything(raw)
    assert may_need_masking([Memory(raw), Memory(b"{}")]) == [True, False]
    assert may_need_masking([Memory(raw)]) == [True]
    bare = max(re.split(r"[\s@:&=]|eyJ", secret), key=len)

    assert bare.encode() not in masked
    assert json.loads(masked)["id"] == "ft-1"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["Authorization", "apiKey", "DB_PASSWORD", "jwt"]), DIGITS, st.data())
def test_the_value_of_a_pair_is_masked_wherever_it_is(name: str, secret: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from([secret, f"a {secret} {{b}}"]))
    members = [("name", name), ("enabled", data.draw(st.none() | st.booleans() | st.integers())), ("value", value)]
    if classify_key(name) is not KeyKind.TEXT and data.draw(st.booleans()):
        members[2] = ("value", [value, {"x": secret}])
    else:
        members = data.draw(st.permutations(members))
    place: Any = dict(members)
    for step in data.draw(st.lists(st.sampled_from(["list", "object", "text"]), max_size=3)):
        place = {"list": [1, place], "object": {"b": place, "c": 2}, "text": json.dumps(place)}[step]
    raw = json.dumps({"id": "ft-1", "x": place, "y": "z"}).encode()
    masked = mask_everything(raw)

    assert may_need_masking([Memory(raw), Memory(b"{}")]) == [True, False]
    assert may_need_masking([Memory(raw)]) == [True]
    assert secret.encode() not in masked
    assert json.loads(masked) | {"x": 0} == {"id": "ft-1", "x": 0, "y": "z"}


KEYS = [
    "api_key",
    "clientSecret",
    "X-Auth-Token",
    "password",
    "cookie",
    "auth",
    "pass",
    "jwt",
    "dsn",
    "aws_access_key_id",
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KEYS), DIGITS, st.data())
def test_the_value_of_a_secret_key_is_masked_wherever_it_is(key: str, secret: str, data: st.DataObject) -> None:
    place: Any = {"before": data.draw(values), key: data.draw(st.sampled_from(['"', "\\", ""])) + secret, "after": 1}
    for step in data.draw(st.lists(st.sampled_from(["list", "object", "text"]), max_size=4)):
        place = {"list": [1, place], "object": {"b": place, "c": 2}, "text": json.dumps(place)}[step]
    raw = json.dumps({"id": "ft-1", "x": place, "y": "z"}).encode()
    masked = mask_everything(raw)

    assert secret.encode() not in masked
    assert json.loads(masked) | {"x": 0} == {"id": "ft-1", "x": 0, "y": "z"}


def test_no_sample_changes_but_for_what_the_contract_lists() -> None:
    files = [*(DATA / "samples").iterdir(), *(f for f in (DATA / "golden").glob("*json") if f.stem != "secrets")]
    assert len(files) > 30
    for file in files:
        raw = file.read_bytes()
        assert [s for s in secret_forms.find_secrets(raw) if s.name not in ("hf_api_token", "wandb_key")] == []
