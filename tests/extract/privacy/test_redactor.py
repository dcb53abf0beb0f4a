"""People's data goes out of the bytes, whatever they look like, and everything else stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import people
from ftetl.extract.privacy import redactor
from ftetl.extract.privacy.redactor import Redactor, UnterminatedValueError
from ftetl.raw import emails, strict_json


def shown(text: bytes) -> str:
    """A stand-in for a pseudonym that a reader of this file can follow."""
    return "<" + text.decode("utf-8", "replace").replace("@", "").replace('"', "") + ">"


def hexed(text: bytes) -> str:
    """One that tells all texts from each other."""
    return f"hex:{text.hex()}"


HASH, DROP, HEX = Redactor(shown), Redactor(lambda _: None), Redactor(hexed)

GOLDEN = {
    # what it is: the text, with pseudonyms, and with nothing
    "a text": ('{"user_id":"u1","n":1}', '{"user_id":"<u1>","n":1}', '{"user_id":null,"n":1}'),
    "a key with escapes": (r'{"us\u0065r_id":"u1"}', r'{"us\u0065r_id":"<u1>"}', r'{"us\u0065r_id":null}'),
    "a text with escapes": (r'{"user_id":"\u00751"}', '{"user_id":"<u1>"}', '{"user_id":null}'),
    "a number": ('{"user_id" : 17 }', '{"user_id" : "<17>" }', '{"user_id" : null }'),
    "a truth": ('{"user_id":true}', '{"user_id":"<true>"}', '{"user_id":null}'),
    "an object": (
        '{"owner_address":{"b":["}"], "a":1},"x":[]}',
        '{"owner_address":"<{a:1,b:[}]}>","x":[]}',
        '{"owner_address":null,"x":[]}',
    ),
    "a list over lines": ('{"user_id":\n[ "u1",\n2 ]\n}', '{"user_id":\n"<[u1,2]>"\n}', '{"user_id":\nnull\n}'),
    "nobody": ('{"user_id":null,"owner_address":""}',) * 3,
    "a key as a value": ('{"by":"user_id","of":["user_id","user_id"]}',) * 3,
    "another key": (r'{"last_user_id":"u1","a\"user_id":"u1","user_ids":["u1"]}',) * 3,
    "a key twice": (
        '{"user_id":"a","user_id":"b"}',
        '{"user_id":"<a>","user_id":"<b>"}',
        '{"user_id":null,"user_id":null}',
    ),
    "a key that no column reads": (
        '{"x":{"user_email":"u1"}}',
        '{"x":{"user_email":"<u1>"}}',
        '{"x":{"user_email":null}}',
    ),
    "an address": ('{"m":"to ada@x.org, now"}', '{"m":"to <adax.org>, now"}', '{"m":"to ***, now"}'),
    "the last words": ('{"m":"mail ada@x.org."}', '{"m":"mail <adax.org>."}', '{"m":"mail ***."}'),
    "an escaped sign": (r'{"m":"ada\u0040x.org"}', '{"m":"<adax.org>"}', '{"m":"***"}'),
    "escaped letters": (r'{"m":"\u0061da@x\u002eorg"}', '{"m":"<adax.org>"}', '{"m":"***"}'),
    "between escapes": (r'{"m":"\nada@x.org\n"}', r'{"m":"\n<adax.org>\n"}', r'{"m":"\n***\n"}'),
    "in an address of the web": ('"h://w/?e=ada%40x.org&f=1"', '"h://w/?e=<adax.org>&f=1"', '"h://w/?e=***&f=1"'),
    "other scripts": ('{"m":"ädä@exämple.org"}', '{"m":"<ädäexämple.org>"}', '{"m":"***"}'),
    "quotes around it": ("\"'o'brien@x.org'\"", "\"'<o'brienx.org>'\"", "\"'***'\""),
    "two addresses": ('"ada@x.org,bob@y.org"', '"<adax.org>,<boby.org>"', '"***,***"'),
    "no address": ('"a@b model@main v@1.2 @x.org 5 @ 3 a@b@c"',) * 3,
    "a host": ('"ssh root@10.0.0.1"', '"ssh <root10.0.0.1>"', '"ssh ***"'),
    "a key that is an address": ('{"ada@x.org":"rw"}', '{"<adax.org>":"rw"}', '{"***":"rw"}'),
    "keys that are addresses": (
        '{"a@x.org":{"b@x.org":1,"c@x.org":"d@x.org"},"b@x.org":[{"a@x.org":1}]}',
        '{"<ax.org>":{"<bx.org>":1,"<cx.org>":"<dx.org>"},"<bx.org>":[{"<ax.org>":1}]}',
        '{"***":{"***":1,"***2":"***"},"***2":[{"***":1}]}',
    ),
    "JSON in a text": (
        r'{"m":"{\"user_id\": \"u1\", \"n\":1}"}',
        r'{"m":"{\"user_id\": \"<u1>\", \"n\":1}"}',
        r'{"m":"{\"user_id\": null, \"n\":1}"}',
    ),
    "JSON in a text in a text": (
        r'"{\"m\":\"{\\\"user_id\\\":5}\"}"',
        r'"{\"m\":\"{\\\"user_id\\\":\\\"<5>\\\"}\"}"',
        r'"{\"m\":\"{\\\"user_id\\\":null}\"}"',
    ),
    "a text that ends behind a key": (r'{"m":"\"user_id\":","n":"\"user_id\""}',) * 3,
    "as Python writes it": (
        "{'user_id': 'u1', 'n': None}",
        "{'user_id': '<u1>', 'n': None}",
        "{'user_id': null, 'n': None}",
    ),
    "no end": ('{"user_id":"u1', '{"user_id":"<u1>"', '{"user_id":null'),
    "no end of an object": ('{"user_id":{"a":"u1"', '{"user_id":"<{a:u1>"', '{"user_id":null'),
    "no colon": ('{"user_id" "u1"}', '{"user_id" "<u1>"}', '{"user_id" null}'),
    "two colons": ('{"user_id": :"u1"}', '{"user_id": :"<u1>"}', '{"user_id": :null}'),
    "no quotes": ('{"user_id":u1,"n":1}', '{"user_id":"<u1>","n":1}', '{"user_id":null,"n":1}'),
    "quotes in a text": ('{"user_id":"u "1" x","n":1}', '{"user_id":"<u 1 x>","n":1}', '{"user_id":null,"n":1}'),
    "not a number": ('{"user_id":NaN}', '{"user_id":"<NaN>"}', '{"user_id":null}'),
}


@pytest.mark.parametrize(("text", "hashed", "dropped"), GOLDEN.values(), ids=GOLDEN)
def test_a_text_is_hashed_or_dropped(text: str, hashed: str, dropped: str) -> None:
    assert HASH.redact(text.encode()).decode() == hashed
    assert DROP.redact(text.encode()).decode() == dropped


def test_broken_utf8_does_not_prevent_redaction() -> None:
    assert (
        HASH.redact(b'{"user_id":"u\xff1","m":"\xff ada@x.org"}')
        == '{"user_id":"<u�1>","m":"'.encode() + b'\xff <adax.org>"}'
    )


@pytest.mark.parametrize("key", sorted(people()))
def test_every_key_that_a_contract_marks_is_replaced(key: str) -> None:
    assert json.loads(HASH.redact(json.dumps({"x": {key: "who"}}).encode())) == {"x": {key: "<who>"}}


def test_the_contracts_mark_the_personal_keys_of_the_api() -> None:
    assert {"user_id", "owner_address", "wandb_entity", "wandb_url", "model_output_path", "path"} <= people()


@pytest.mark.parametrize("value", [b'{"a":', b'"u1', b"[[", b""])
def test_a_cut_line_does_not_affect_the_next_one(value: bytes) -> None:
    first, second = DROP.redact(b'{"user_id":' + value + b'\n{"id":"ft-1","n":[1]}', lines=True).split(b"\n")

    assert second == b'{"id":"ft-1","n":[1]}'
    assert b"u1" not in first


# ------------------------------------------------------------------------------------------- against a plain reading

CANARIES = ("canary-0123456789abcdef", "Rara.Avis+test@birds.example.org", "ö.vogel@birds.example.org")
ADDRESS = re.compile(r"[\w.+-]+@birds\.example\.org")

texts = st.one_of(st.text(max_size=12), st.sampled_from(["", '"', "\\", "\n", "user_id", "@", "a@b", "'"]))
with_people = st.builds(lambda a, b, c: f"{a} <{b}> {c}", texts, st.sampled_from(CANARIES[1:]), texts)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, with_people)
names = st.one_of(texts, with_people, st.sampled_from(["id", "message", "events", *sorted(people())]))


def _values(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    whose = st.dictionaries(st.sampled_from(sorted(people())), st.sampled_from(CANARIES), max_size=3)
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4), whose)


values = st.recursive(scalars, _values, max_leaves=20)


def plainly(value: Any, replace: Callable[[bytes], str | None], key: str = "") -> Any:
    """The same, done to a value that was read: what the bytes must say afterwards."""
    if key in people() and value not in (None, ""):
        said = (
            value
            if isinstance(value, str)
            else strict_json.compact_json(strict_json.parse(json.dumps(value).encode()), canonical=True)
        )
        return replace(said.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return {_words(k, replace): plainly(v, replace, k) for k, v in value.items()}
    if isinstance(value, list):
        return [plainly(item, replace) for item in value]
    return _words(value, replace) if isinstance(value, str) else value


def _words(text: str, replace: Callable[[bytes], str | None]) -> str:
    return ADDRESS.sub(lambda found: replace(found.group().encode()) or "***", text)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_the_result_equals_that_of_a_simple_implementation(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")

    assert json.loads(HEX.redact(raw).decode("utf-8", "surrogatepass")) == plainly(value, hexed)


@given(st.lists(st.text(alphabet='abcdefgh \\"\n\t\u00e9:,{}', max_size=30), max_size=5))
def test_text_without_personal_data_is_unchanged(words: list[str]) -> None:
    raw = json.dumps({"a": words, **{word: word for word in words}}).encode()

    assert HASH.redact(raw) == DROP.redact(raw) == raw


@given(values, st.data(), st.booleans())
def test_a_truncated_document_names_nobody(value: Any, data: st.DataObject, lines: bool) -> None:
    raw = json.dumps({"message": value, "user_id": CANARIES[0]}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    cut = raw[: data.draw(st.integers(0, len(raw)))]

    for found in (HEX, DROP):
        assert not [c for c in CANARIES[1:] if c.encode() in found.redact(cut, lines=lines)]
    assert b'user_id": "canary' not in DROP.redact(cut, lines=lines)


@given(st.lists(values, max_size=4), st.data(), st.booleans(), st.booleans())
def test_the_result_does_not_depend_on_the_pieces(
    found: list[Any], data: st.DataObject, lines: bool, drop: bool
) -> None:
    mode = DROP if drop else HEX
    raw = (b"\n" if lines else b",").join(
        json.dumps(v, ensure_ascii=False).encode("utf-8", "surrogatepass") for v in found
    )
    size = data.draw(st.integers(1, 300))
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redactor, "WINDOW", 1)
        patch.setattr(emails, "REACH", 60)  # longer than the addresses here
        patch.setattr(redactor, "_HOLD", 120)
        assert b"".join(mode.redact_stream(pieces, lines=lines)) == mode.redact(raw, lines=lines)


def test_a_value_that_never_ends_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor, "WINDOW", 100)
    monkeypatch.setattr(redactor, "LONGEST", 1000)

    with pytest.raises(UnterminatedValueError):
        list(HASH.redact_stream([b'{"user_id":"', *[b"x" * 50] * 100]))


def test_many_at_signs_take_linear_time() -> None:
    """Were each looked at from its own beginning, this would take a minute."""
    assert HASH.redact(b'"' + b"a@" * 60_000 + b'"')[:5] == b'"a@a@'
