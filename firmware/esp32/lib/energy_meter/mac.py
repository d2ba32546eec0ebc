"""HMAC-SHA256 (RFC 2104), which MicroPython does not bring, and the pairing key."""

import binascii
import hashlib
import os

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEY_LENGTH = 20
_BLOCK = 64


def hmac(key, *parts):
    """HMAC-SHA256 of the parts one after the other, 32 bytes; the key may be 64 bytes long at most."""
    padded = key + bytes(_BLOCK - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]))
    outer.update(inner.digest())
    return outer.digest()


def hexadecimal(data):
    """Bytes as lower-case hexadecimal digits, ASCII."""
    return binascii.hexlify(data)


def same(one, other):
    """Whether two byte strings are equal; takes as long whichever byte differs."""
    if len(one) != len(other):
        return False
    difference = 0
    for a, b in zip(one, other):
        difference |= a ^ b
    return difference == 0


def normalised(text):
    """The 20 characters of a pairing key however it was typed, or None if it is none."""
    key = "".join(text.upper().replace("-", " ").split())
    if len(key) != KEY_LENGTH or any(char not in ALPHABET for char in key):
        return None
    return key


def new_key():
    """A fresh pairing key: 20 characters of 5 random bits each."""
    return "".join(ALPHABET[byte & 31] for byte in os.urandom(KEY_LENGTH))


def grouped(key):
    """A key the way people read it: ABCDE-FGHJK-LMNPQ-RSTUV."""
    return "-".join(key[i : i + 5] for i in range(0, len(key), 5))


def nonce():
    """32 random hexadecimal digits, ASCII."""
    return hexadecimal(os.urandom(16))


class Seal:
    """The numbered MACs of one connection: `#` and 16 hexadecimal digits at the end of each line."""

    def __init__(self, key):
        """Begin a connection with its session key, 32 bytes."""
        self._key = key
        self._sent = 0
        self._received = 0

    def seal(self, line):
        """What comes behind the line: its MAC."""
        mac = hmac(self._key, b"b%d:" % self._sent, line)
        self._sent += 1
        return b"#" + hexadecimal(mac)[:16]

    def opened(self, line):
        """The line without its MAC, or None if that is not right."""
        if len(line) < 17 or line[-17:-16] != b"#":
            return None
        body = line[:-17]
        mac = hmac(self._key, b"h%d:" % self._received, body)
        self._received += 1
        return body if same(hexadecimal(mac)[:16], line[-16:]) else None
