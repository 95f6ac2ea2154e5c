"""Signed heads: who has only the public key can tell that a head is ours, whoever owns the database.

A head is signed as the ASCII text `COUNT:HASH`, with Ed25519, and written `COUNT:HASH:SIGNATURE`, the signature in
base64url without padding.
"""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bot.audit.entry import Head
from bot.base.errors import BotError, SettingsError

# Imported where it is used: it takes 7 MB, and most bots sign nothing.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PublicKey: TypeAlias = "Ed25519PublicKey"

LARGEST = 16_384
"""No key file is longer than so many bytes."""

_HEAD = re.compile(r"(?:([0-9]{1,18})[: ])?([0-9a-f]{64})")
_SIGNED = re.compile(r"([0-9]{1,18}):([0-9a-f]{64}):([A-Za-z0-9_-]{86})(?:==)?")


class NotSigned(BotError):
    """{what} is not signed."""


class WronglySigned(BotError):
    """{what} was not signed with that key, or was changed since."""


class NoPublicKey(BotError):
    """{file} is no Ed25519 public key in PEM."""


@dataclass(frozen=True)
class SignedHead:
    """A head as it was written down; a count of 0 with a hash stands for any entry with that hash."""

    head: Head
    signature: str | None = None

    @classmethod
    def read(cls, text: str) -> "SignedHead":
        """Reads `COUNT:HASH:SIGNATURE`, `COUNT:HASH`, or a hash alone.

        Raises:
            ValueError: it is none of these.
        """
        if (signed := _SIGNED.fullmatch(text.strip())) is not None:
            return cls(Head(int(signed[1]), signed[2]), signed[3])
        if (plain := _HEAD.fullmatch(text.strip())) is not None:
            return cls(Head(int(plain[1] or 0), plain[2]))
        raise ValueError("expected COUNT:HASH:SIGNATURE, COUNT:HASH, or the hash alone")

    def __str__(self) -> str:
        return ":".join([_signed_text(self.head), *filter(None, [self.signature])])


class Signer:
    """Signs heads, if there is a key."""

    def __init__(self, key: "Ed25519PrivateKey | None" = None) -> None:
        self._key = key

    def sign(self, head: Head) -> SignedHead:
        """The head with its signature; without one if there is no key."""
        if self._key is None:
            return SignedHead(head)
        return SignedHead(head, _base64url(self._key.sign(_signed_text(head).encode("ascii"))))


def signer(file: Path | None) -> Signer:
    """The signer of the setting AUDIT_SIGNING_KEY_FILE.

    Raises:
        SettingsError: the file is not there, or holds no such key.
    """
    if file is None:
        return Signer()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_content(file), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        expected = "a file with an Ed25519 private key (PEM), as sift-retry audit keygen makes it"
        raise SettingsError([f"AUDIT_SIGNING_KEY_FILE: wrong; expected {expected}"])
    return Signer(key)


def public_key(file: Path) -> PublicKey:
    """Reads a public key.

    Raises:
        NoPublicKey: the file holds none of that kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_content(file))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise NoPublicKey(file=file)
    return key


def check(key: PublicKey, signed: SignedHead, what: str) -> None:
    """Checks a head's signature.

    Args:
        what: how the head is called in an error.

    Raises:
        NotSigned: it has none.
        WronglySigned: it has another's, or one of another head.
    """
    from cryptography.exceptions import InvalidSignature

    if signed.signature is None:
        raise NotSigned(what=what)
    try:
        key.verify(base64.urlsafe_b64decode(signed.signature + "=="), _signed_text(signed.head).encode("ascii"))
    except (InvalidSignature, ValueError):
        raise WronglySigned(what=what) from None


def make_key(file: Path) -> str:
    """Writes a new private key into a file that only its owner may read; returns the public key, as PEM.

    Raises:
        FileExistsError: there is a file of that name.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _signed_text(head: Head) -> str:
    return f"{head.count}:{head.hash}"


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(LARGEST)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode("ascii").rstrip("=")
