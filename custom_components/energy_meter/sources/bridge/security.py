"""The pairing key and what is made of it; HMAC-SHA256 throughout, lower-case hexadecimal.

The key is 20 characters of an alphabet of 32 that leaves out what people confuse (I, O, 0, 1): 100 bits.
"""

import hashlib
import hmac
import secrets
from typing import Final

ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEY_LENGTH: Final = 20
_GROUP: Final = 5
_LINE_DIGITS: Final = 16
NONCE_DIGITS: Final = 32
SUFFIX_LENGTH: Final = 1 + _LINE_DIGITS
"""Bytes that a signed line is longer."""
TO_BRIDGE: Final = b"h"
FROM_BRIDGE: Final = b"b"


def new_key() -> str:
    """A fresh key from the system's random numbers, 20 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(KEY_LENGTH))


def normalise_key(text: str) -> str:
    """The 20 upper-case characters of a key however it was typed: case, blanks and hyphens do not matter.

    Raises:
        ValueError: it is no key.
    """
    key = "".join(character for character in text.upper() if character not in " -\t\r\n\u00a0–—")
    if len(key) != KEY_LENGTH or not set(key) <= set(ALPHABET):
        raise ValueError("a key has 20 letters and digits, without I, O, 0 and 1")
    return key


def format_key(key: str) -> str:
    """The key in groups of five: `ABCDE-FGHJK-LMNPQ-RSTUV`."""
    return "-".join(key[start : start + _GROUP] for start in range(0, len(key), _GROUP))


def mac(key: bytes, message: bytes) -> str:
    """HMAC-SHA256, 64 lower-case hexadecimal digits."""
    return hmac.digest(key, message, hashlib.sha256).hex()


def _same(given: str, right: str) -> bool:
    # Compared as bytes: text that is not ASCII must not raise.
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode("ascii"))


def sign_post(key: str, number: int, body: bytes) -> str:
    """Signature of a bridge's POST, 64 hexadecimal digits; `key` as `normalise_key` gives it."""
    return mac(key.encode("ascii"), b"post|%d|%s" % (number, body))


def verify_post(key: str, number: int, body: bytes, signature: str) -> bool:
    """Whether the signature is right; takes the same time whatever is wrong."""
    return _same(signature, sign_post(key, number, body))


def sign_answer(key: str, number: int, body: bytes) -> str:
    """Signature of the answer to the POST of that number, 64 hexadecimal digits."""
    return mac(key.encode("ascii"), b"answer|%d|%s" % (number, body))


def verify_answer(key: str, number: int, body: bytes, signature: str) -> bool:
    """Whether the signature is right; takes the same time whatever is wrong."""
    return _same(signature, sign_answer(key, number, body))


class HostHandshake:
    """The host's side of the pairing on one TCP connection."""

    def __init__(self, key: str, bridge_nonce: str, host_nonce: str | None = None) -> None:
        """Begin with the nonce of the bridge's challenge.

        Raises:
            ValueError: it is no nonce.
        """
        if len(bridge_nonce) != NONCE_DIGITS or not set(bridge_nonce) <= set("0123456789abcdef"):
            raise ValueError("a nonce has 32 lower-case hexadecimal digits")
        self.nonce = host_nonce or secrets.token_hex(NONCE_DIGITS // 2)
        self._key = key.encode("ascii")
        self._there = bridge_nonce.encode("ascii")
        self._here = self.nonce.encode("ascii")

    @property
    def proof(self) -> str:
        """The `mac` of `auth`: that this end knows the key."""
        return mac(self._key, b"host|%s|%s" % (self._there, self._here))

    def accepts(self, welcome: str) -> bool:
        """Whether the `mac` of `welcome` shows that the bridge knows the key too."""
        return _same(welcome, mac(self._key, b"bridge|%s|%s" % (self._here, self._there)))

    def signer(self) -> LineSigner:
        """What signs and checks the lines of the session that follows."""
        return LineSigner(
            hmac.digest(self._key, b"session|%s|%s" % (self._there, self._here), hashlib.sha256)
        )


class LineSigner:
    """Signs the lines of one connection and checks those that come; each end counts its own."""

    def __init__(
        self, session_key: bytes, *, ours: bytes = TO_BRIDGE, theirs: bytes = FROM_BRIDGE
    ) -> None:
        """Begin both counts at 0."""
        self._key = session_key
        self._ours = ours
        self._theirs = theirs
        self._sent = 0
        self._received = 0

    def sign(self, line: bytes) -> bytes:
        """The line with its signature, to be sent next."""
        digits = self._digits(self._ours, self._sent, line)
        self._sent += 1
        return line + b"#" + digits

    def check(self, line: bytes) -> bytes | None:
        """The line that came next without its signature; None if that is wrong, and then nothing more counts."""
        body, hash_sign, digits = (
            line[:-SUFFIX_LENGTH],
            line[-SUFFIX_LENGTH:][:1],
            line[-_LINE_DIGITS:],
        )
        right = self._digits(self._theirs, self._received, body)
        if hash_sign != b"#" or not hmac.compare_digest(digits, right):
            return None
        self._received += 1
        return body

    def _digits(self, direction: bytes, number: int, line: bytes) -> bytes:
        message = b"%s%d:%s" % (direction, number, line)
        return mac(self._key, message)[:_LINE_DIGITS].encode("ascii")
