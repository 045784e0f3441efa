"""A producer, a sink and the control plane of another make, written from docs/wire.md alone.

Nothing of Olvido is imported here: what this module and the product agree on is the wire.
"""

import base64
import hashlib
import hmac
import io
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastavro import parse_schema, schemaless_reader, schemaless_writer

AVSC = Path(__file__).parents[2] / "schemas" / "olvido" / "schemas" / "avsc"
HPKE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
CONTROL = "control"


class Wrong(Exception):
    """The record is not what it says."""


# --- Avro -------------------------------------------------------------------------------------------


def schema(name: str) -> Any:
    return parse_schema(json.loads((AVSC / f"{name}.avsc").read_text(encoding="utf-8")))


def avro(name: str, value: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, schema(name), value)
    return out.getvalue()


def value_of(name: str, data: bytes) -> dict[str, Any]:
    """What canonical Avro says: encoded again it is the same bytes."""
    value: Any = schemaless_reader(io.BytesIO(data), schema(name), None)
    if avro(name, value) != data:
        raise Wrong("not canonical")
    return value


def seal_part(seal: dict[str, bytes]) -> bytes:
    """The first field: the second member of the union, and four byte strings."""
    parts = [seal[name] for name in ("header", "signature", "nonce", "tag")]
    return b"\2" + b"".join(length(len(part)) + part for part in parts)


def length(number: int) -> bytes:
    """A number as Avro writes it: zigzag, seven bits a byte."""
    number, out = number << 1, bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


# --- what follows from the page -----------------------------------------------------------------------


def handle(handle_key: bytes, version: int, kind: str, normalised: str) -> str:
    digest = hmac.digest(handle_key, f"{kind}\0{normalised}".encode(), "sha256")
    return f"h{version}_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def murmur2(key: bytes) -> int:
    """Kafka's: MurmurHash2 of 32 bits with the seed 0x9747b28c."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) - len(key) % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:16]


def info(region_key_id: str) -> bytes:
    return b"olvido/1 session key for " + hashlib.sha256(region_key_id.encode()).digest()


def items(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def micros(instant: Any) -> int:
    since = instant - instant.replace(year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def asked_digest(header: bytes, asked: dict[str, Any], region: str) -> bytes:
    """The additional data of a box: of a request, of a consent change or of a task of either."""
    if "purpose" in asked:  # a consent change
        kind, source, action, at = "consent", asked["event_id"], "CONSENT", asked["occurred_at"]
        purposes, decision, policy = [asked["purpose"]], asked["decision"], asked["policy_version"]
    elif "right" in asked:  # a request
        kind, source, action, at = "request", asked["request_id"], asked["right"], asked["requested_at"]
        purposes, decision, policy = (
            asked["purposes"] if action in ("OBJECT", "WITHDRAW_OBJECTION") else [],
            "",
            "",
        )
    else:  # a task
        kind = "request" if asked["event_id"] is None else "consent"
        source, action, at = asked["request_id"] or asked["event_id"], asked["action"], asked["occurred_at"]
        purposes, decision = asked["purposes"], asked["decision"] or ""
        policy = asked["policy_version"]
    texts = [kind, str(source), action, str(micros(at)), decision, policy, asked["subject_id"]]
    texts += [str(len(purposes)), *purposes, str(len(asked["handles"]))]
    for one in asked["handles"]:
        texts += [one["kind"], one["value"]]
    parts = [hashlib.sha256(header).digest(), *(text.encode() for text in texts), region.encode()]
    return hashlib.sha256(b"olvido/2 asked\0" + items(*parts)).digest()


def tag_data(kind: str, header: bytes, body: bytes) -> bytes:
    return b"olvido/2 " + kind.encode() + b"\0" + hashlib.sha256(header).digest() + body


def packed(identities: list[list[str]]) -> bytes:
    text = json.dumps({"v": 1, "identities": identities}, ensure_ascii=False, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // 256) * 256)


# --- a reader -----------------------------------------------------------------------------------------


def session(seal: dict[str, bytes], signing_key: bytes) -> dict[str, Any]:
    Ed25519PublicKey.from_public_bytes(signing_key).verify(
        seal["signature"], b"olvido/2 session\0" + seal["header"]
    )
    found = value_of("session", seal["header"])
    names = [one["region"] for one in found["recipients"]]
    if found["version"] != 2 or names != sorted(set(names)) or found["key_id"] != key_id(signing_key):
        raise Wrong("header")
    return found


def session_key(found: dict[str, Any], region: str, private_key: bytes) -> AESGCM:
    [recipient] = [one for one in found["recipients"] if one["region"] == region]
    key = X25519PrivateKey.from_private_bytes(private_key)
    return AESGCM(HPKE.decrypt(recipient["wrapped_key"], key, info=info(recipient["key_id"])))


def checked(kind: str, data: bytes, *, signing_key: bytes, control_key: bytes) -> dict[str, Any]:
    """A record as the control plane takes it."""
    value = value_of(kind, data[5:])
    seal = value["seal"]
    body = data[5 + len(seal_part(seal)) :]
    cipher = session_key(session(seal, signing_key), CONTROL, control_key)
    if cipher.decrypt(seal["nonce"], seal["tag"], tag_data(kind, seal["header"], body)):
        raise Wrong("tag")
    return value


def opened(asked: dict[str, Any], box: dict[str, Any], *, signing_key: bytes, region_key: bytes) -> Any:
    """The identities of a box as a sink opens it."""
    seal = asked["seal"]
    cipher = session_key(session(seal, signing_key), box["region"], region_key)
    data = asked_digest(seal["header"], asked, box["region"])
    return json.loads(cipher.decrypt(box["nonce"], box["ciphertext"], data))["identities"]


# --- a writer -----------------------------------------------------------------------------------------


def sealed(
    kind: str,
    value: dict[str, Any],
    identities: list[list[str]],
    *,
    principal: str,
    signing_seed: bytes,
    public_keys: dict[str, tuple[str, bytes]],  # by region, and control: key id and public key
    began: Any,
    ends: Any,
) -> bytes:
    """A record without its frame, with its seal; of a request and a consent change with its boxes, too."""
    keys, recipients = {}, []
    for region in sorted({CONTROL, *value.get("regions", ())}):
        region_key_id, public_key = public_keys[region]
        keys[region] = os.urandom(32)
        wrapped = HPKE.encrypt(
            keys[region], X25519PublicKey.from_public_bytes(public_key), info=info(region_key_id)
        )
        recipients.append({"region": region, "key_id": region_key_id, "wrapped_key": wrapped})
    signer = Ed25519PrivateKey.from_private_bytes(signing_seed)
    header = avro(
        "session",
        {
            "version": 2, "principal": principal, "key_id": key_id(signer.public_key().public_bytes_raw()),
            "not_before": began, "not_after": ends, "recipients": recipients,
        },
    )  # fmt: skip
    boxes = []
    for region in value.get("regions", ()):
        nonce = os.urandom(12)
        data = asked_digest(header, value, region)
        boxes.append({
            "region": region, "key_id": public_keys[region][0], "wrapped_key": b"", "nonce": nonce,
            "ciphertext": AESGCM(keys[region]).encrypt(nonce, packed(identities), data),
        })  # fmt: skip
    if boxes:
        value = {**value, "boxes": boxes}
    body = avro(kind, {**value, "seal": None})[1:]
    nonce = os.urandom(12)
    seal = {
        "header": header,
        "signature": signer.sign(b"olvido/2 session\0" + header),
        "nonce": nonce,
        "tag": AESGCM(keys[CONTROL]).encrypt(nonce, b"", tag_data(kind, header, body)),
    }
    return seal_part(seal) + body
