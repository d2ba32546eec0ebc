"""The pairing key and what is made of it; HMAC-SHA256 throughout, lower-case hexadecimal.

The key is 20 characters of an alphabet of 32 that leaves out what people confuse (I, O, 0, 1): 100 bits.
"""

from typing import Final

ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEY_LENGTH: Final = 20


def new_key() -> str:
    """A fresh key from the system's random numbers, as `format_key` shows it."""
    raise NotImplementedError


def normalise_key(text: str) -> str:
    """The 20 upper-case characters of a key however it was typed: case, blanks and hyphens do not matter.

    Raises:
        ValueError: it is no key.
    """
    raise NotImplementedError


def format_key(key: str) -> str:
    """The key in groups of five: `ABCDE-FGHJK-LMNPQ-RSTUV`."""
    raise NotImplementedError


def sign_post(key: str, number: int, body: bytes) -> str:
    """Signature of a bridge's POST, 64 hexadecimal digits."""
    raise NotImplementedError


def verify_post(key: str, number: int, body: bytes, signature: str) -> bool:
    """Whether the signature is right; takes the same time whatever is wrong."""
    raise NotImplementedError


def sign_answer(key: str, number: int, body: bytes) -> str:
    """Signature of the answer to the POST of that number, 64 hexadecimal digits."""
    raise NotImplementedError


def verify_answer(key: str, number: int, body: bytes, signature: str) -> bool:
    """Whether the signature is right; takes the same time whatever is wrong."""
    raise NotImplementedError
