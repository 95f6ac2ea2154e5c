"""Signed heads: who has the public key alone can tell a head of ours from a forged one."""

import base64
import json
import re
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key

from bot.audit import signing
from bot.audit.entry import Head
from bot.audit.signing import SignedHead
from bot.base.clock import utc_now
from tests.cli.test_cli import Run, run

__all__ = ["run"]


@pytest.fixture
def signed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line with a key, whose public part is in `public.pem`."""
    code, out, error = run("audit", "keygen", "--output", "key.pem")
    assert code == 0
    assert "key.pem" in error
    (tmp_path / "public.pem").write_text(out)
    monkeypatch.setenv("AUDIT_SIGNING_KEY_FILE", str(tmp_path / "key.pem"))
    return run


def other_public(tmp_path: Path) -> str:
    return signing.make_key(tmp_path / "other.pem")


def test_a_key_is_for_its_owner_alone_and_never_overwritten(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("audit", "keygen")
    assert code == 0
    file = tmp_path / "audit-signing-key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert isinstance(load_pem_public_key(out.encode()), Ed25519PublicKey)
    assert "PRIVATE" not in out
    before = file.read_bytes()
    code, out, error = run("audit", "keygen")
    assert (code, out) == (1, "")
    assert "exists already" in error
    assert file.read_bytes() == before


def test_exactly_count_and_hash_are_signed(signed: Run, tmp_path: Path) -> None:
    signed("access", "grant", "U1")
    _, out, _ = signed("audit", "anchor")
    head = out.split()[1]
    count, digest, signature = head.split(":")
    key = load_pem_public_key((tmp_path / "public.pem").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.urlsafe_b64decode(signature + "=="), f"{count}:{digest}".encode("ascii"))


def test_a_signed_head_is_checked_with_the_public_key_alone(
    signed: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signed("access", "grant", "U1")
    head = signed("audit", "anchor")[1].split()[1]
    signed("access", "grant", "U2")
    other = SignedHead.read(signed("audit", "anchor")[1].split()[1])
    monkeypatch.delenv("AUDIT_SIGNING_KEY_FILE")
    (tmp_path / "key.pem").unlink()
    check = ("audit", "verify", "--public-key", "public.pem", "--head")
    assert signed(*check, head)[0] == 0
    assert signed(*check, f"{head}==")[0] == 0, "with padding too"
    assert signed("audit", "verify", "--head", head)[0] == 0
    unsigned, _, signature = head.rpartition(":")
    for wrong, said in (
        (unsigned, "the given head is not signed."),
        (unsigned.partition(":")[2], "the given head is not signed."),
        (f"{unsigned}:{other.signature}", "was not signed with that key"),
        (f"9{head}", "was not signed with that key"),
        (f"{other.head.count}:{other.head.hash}:{signature}", "was not signed with that key"),
    ):
        code, out, error = signed(*check, wrong)
        assert (code, out, len(error.splitlines())) == (1, "", 1)
        assert said in error


def test_another_s_key_and_what_is_no_key_are_refused(signed: Run, tmp_path: Path) -> None:
    signed("access", "grant", "U1")
    head = signed("audit", "anchor")[1].split()[1]
    (tmp_path / "wrong.pem").write_text(other_public(tmp_path))
    for file, said in (("wrong.pem", "was not signed with that key"), ("key.pem", "is no Ed25519 public key")):
        code, out, error = signed("audit", "verify", "--head", head, "--public-key", file)
        assert (code, out, len(error.splitlines())) == (1, "", 1)
        assert said in error


def test_a_rewritten_log_has_no_signature_of_ours(signed: Run) -> None:
    signed("access", "grant", "U1")
    head = SignedHead.read(signed("audit", "anchor")[1].split()[1])
    forged = SignedHead(Head(head.head.count, "f" * 64), head.signature)
    code, _, error = signed("audit", "verify", "--public-key", "public.pem", "--head", str(forged))
    assert code == 1
    assert "was not signed with that key" in error


def test_exports_and_segments_carry_the_signature(signed: Run, tmp_path: Path) -> None:
    for user in ("U1", "U2", "U3"):
        signed("access", "grant", user)
    _, _, error = signed("audit", "export")
    (head,) = re.findall(r"head of the chain: (\d+:[0-9a-f]{64}:[\w-]{86})$", error, re.MULTILINE)
    assert signed("audit", "verify", "--public-key", "public.pem", "--head", head)[0] == 0
    assert signed("audit", "archive", "--before", utc_now().isoformat(), "--output", "one.jsonl")[0] == 0
    check = ("audit", "verify", "--public-key", "public.pem", "--segment", "one.jsonl")
    assert signed(*check)[0] == 0
    assert signed(*check, "--head", head)[0] == 0
    file = tmp_path / "one.jsonl"
    *lines, last = file.read_text().splitlines(keepends=True)
    seal = json.loads(last)["seal"]
    (tmp_path / "wrong.pem").write_text(other_public(tmp_path))
    assert signed("audit", "verify", "--public-key", "wrong.pem", "--segment", "one.jsonl")[0] == 1
    for change, said in ({"signature": "A" * 86}, "not signed with that key"), ({"signature": None}, "is not signed"):
        changed = {name: value for name, value in {**seal, **change}.items() if value is not None}
        file.write_text("".join([*lines, json.dumps({"seal": changed})]))
        code, out, error = signed(*check)
        assert (code, out) == (1, "")
        assert said in error
        assert signed("audit", "verify", "--segment", "one.jsonl")[0] == 0, "without a public key none is asked for"


def test_nothing_to_check_a_signature_of_is_said(signed: Run) -> None:
    signed("access", "grant", "U1")
    code, _, error = signed("audit", "verify", "--public-key", "public.pem")
    assert code == 0
    assert "no signature was checked" in error


@pytest.mark.parametrize("kind", ["missing", "rubbish", "directory", "public", "other", "encrypted"])
@pytest.mark.parametrize("command", [("audit", "anchor"), ("audit", "export"), ("run",)])
def test_a_wrong_key_file_ends_the_program_with_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, command: tuple[str, ...]
) -> None:
    file = tmp_path / "key.pem"
    if kind == "rubbish":
        file.write_bytes(b"\x00rubbish" * 10_000)
    elif kind == "directory":
        file.mkdir()
    elif kind == "public":
        file.write_text(other_public(tmp_path))
    elif kind == "other":
        key = generate_private_key(SECP256R1())
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    elif kind == "encrypted":
        file.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIG=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    settings = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SIFT_API_KEY": "k"}
    for name, value in {**settings, "AUDIT_SIGNING_KEY_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)
    code, out, error = run(*command)
    assert (code, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert error.startswith("sift-retry: AUDIT_SIGNING_KEY_FILE: wrong; expected a file with an Ed25519 private key")
