"""The pairing key, the handshake and the signatures, against an implementation written from the document."""

import hashlib
import hmac

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.bridge.security import (
    ALPHABET,
    HostHandshake,
    LineSigner,
    format_key,
    new_key,
    normalise_key,
    sign_answer,
    sign_post,
    verify_answer,
    verify_post,
)
from tests.support.bridge import answer_signature, hmac_hex, signed_post

KEY = "ABCDEFGHJKLMNPQRSTUV"
OURS, THEIRS = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


def test_a_new_key_has_a_hundred_random_bits() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(normalise_key(key) == key for key in keys)
    assert {letter for key in keys for letter in key} == set(ALPHABET)


@given(st.text(ALPHABET, min_size=20, max_size=20), st.data())
def test_a_key_may_be_typed_as_people_type(key: str, data: st.DataObject) -> None:
    typed = format_key(key)
    if data.draw(st.booleans()):
        typed = typed.lower()
    typed = typed.replace("-", data.draw(st.sampled_from(["", " ", "-", " - ", "–", "\u00a0"])))
    assert normalise_key(f" {typed}\n") == key


@pytest.mark.parametrize(
    "text",
    ["", KEY[:-1], KEY + "A", KEY[:-1] + "0", KEY[:-1] + "I", KEY[:-1] + "Ä", KEY[:-1] + "\x00"],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        normalise_key(text)


def test_a_key_is_shown_in_groups_of_five() -> None:
    assert format_key(KEY) == "ABCDE-FGHJK-LMNPQ-RSTUV"


def test_the_handshake_is_that_of_the_document() -> None:
    handshake = HostHandshake(KEY, THEIRS, OURS)
    assert handshake.proof == hmac_hex(KEY.encode(), f"host|{THEIRS}|{OURS}")
    assert handshake.accepts(hmac_hex(KEY.encode(), f"bridge|{OURS}|{THEIRS}"))
    session_key = bytes.fromhex(hmac_hex(KEY.encode(), f"session|{THEIRS}|{OURS}"))
    line = b'{"type":"ping"}'
    signer = handshake.signer()
    for number in range(3):
        right = hmac_hex(session_key, b"h%d:%s" % (number, line))[:16]
        assert signer.sign(line) == line + b"#" + right.encode()


def test_a_welcome_of_somebody_without_the_key_is_not_accepted() -> None:
    handshake = HostHandshake(KEY, THEIRS)
    for wrong in ("", "é", handshake.proof, hmac_hex(b"other", "x"), "\ud800"):
        assert not handshake.accepts(wrong)


def test_each_handshake_has_a_nonce_of_its_own() -> None:
    assert len({HostHandshake(KEY, THEIRS).nonce for _ in range(50)}) == 50


@pytest.mark.parametrize("nonce", ["", "0" * 31, "0" * 33, "g" * 32, "None", "A" * 32])
def test_a_nonce_that_is_none_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError):
        HostHandshake(KEY, nonce)


def pair() -> tuple[LineSigner, LineSigner]:
    key = hashlib.sha256(b"session").digest()
    return LineSigner(key), LineSigner(key, ours=b"b", theirs=b"h")


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=8))
def test_signed_lines_are_checked_in_their_order(lines: list[bytes]) -> None:
    host, bridge = pair()
    assert [host.check(bridge.sign(line)) for line in lines] == lines
    assert [bridge.check(host.sign(line)) for line in lines] == lines


@given(st.binary(min_size=1, max_size=80), st.data())
def test_a_changed_byte_is_noticed(line: bytes, data: st.DataObject) -> None:
    host, bridge = pair()
    signed = bytearray(bridge.sign(line))
    signed[data.draw(st.integers(0, len(signed) - 1))] ^= data.draw(st.integers(1, 255))
    assert host.check(bytes(signed)) is None


def test_a_line_said_twice_or_left_out_or_sent_back_is_noticed() -> None:
    host, bridge = pair()
    first, second = bridge.sign(b"a"), bridge.sign(b"b")
    assert host.check(second) is None
    assert host.check(first) == b"a"
    assert host.check(first) is None
    assert host.check(host.sign(b"b")) is None


@pytest.mark.parametrize("line", [b"", b"#", b"x", b"0" * 16, b"#" + b"0" * 16])
def test_a_line_without_a_signature_is_refused(line: bytes) -> None:
    assert pair()[0].check(line) is None


@given(st.binary(max_size=200), st.integers(0, 2**80))
def test_posts_and_answers_are_signed_as_the_document_says(body: bytes, number: int) -> None:
    headers = signed_post(KEY, number, body)
    signature = headers["X-Energy-Meter-Signature"]
    assert sign_post(KEY, number, body) == signature
    assert verify_post(KEY, number, body, signature)
    assert not verify_post(KEY, number + 1, body, signature)
    assert not verify_post(KEY, number, body + b" ", signature)
    assert not verify_answer(KEY, number, body, signature)
    assert verify_answer(KEY, number, body, answer_signature(KEY, number, body))
    assert sign_answer(KEY, number, body) == answer_signature(KEY, number, body)


@pytest.mark.parametrize("signature", ["", "x", "é" * 64, "\udcff"])
def test_a_signature_that_is_none_is_wrong(signature: str) -> None:
    assert not verify_post(KEY, 1, b"", signature)


def test_the_key_serves_as_ascii() -> None:
    assert sign_post(KEY, 7, b"x") == hmac.new(KEY.encode(), b"post|7|x", "sha256").hexdigest()
