"""
The text of an API key: how one is made, checked and remembered.

``ppd_live_`` or ``ppd_test_``, 30 random base62 characters, then 6 of CRC-32 over all
that stands before them. The checksum refuses a mistyped or invented key before
anything is looked up; the 30 characters carry 178 bits. What is kept is an
HMAC-SHA-256 under a pepper that never enters the database.
"""

import hmac
import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PREFIX = "ppd_"
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
PATTERN = re.compile(rf"{PREFIX}(live|test)_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


def mint(mode: str) -> str:
    """Return a new key of ``mode`` (``live`` or ``test``). It is shown once and never stored."""
    body = f"{PREFIX}{mode}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of ``body`` as six base62 digits, most significant first."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_well_formed(key: str) -> bool:
    """Whether ``key`` could be one of ours: shape and checksum, without the database."""
    return PATTERN.fullmatch(key) is not None and checksum(key[:-CHECKSUM_LENGTH]) == key[-CHECKSUM_LENGTH:]


def digest(key: str, *, pepper: str) -> str:
    """What the database keeps of ``key``: 64 hexadecimal digits."""
    return hmac.digest(pepper.encode(), key.encode(), "sha256").hex()
