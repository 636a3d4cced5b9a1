"""A device with a passkey, made of nothing but its arithmetic: it does what it is told, also what no device would."""

import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import Aaguid, AttestedCredentialData

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Device:
    """`count` goes up with each use, as `step` says; synced passkeys stay at 0."""

    def __init__(self, *, step: int = 1, id: bytes | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id, self.user = id or os.urandom(32), b""
        self.count, self.step = 0, step

    def make(self, options: dict[str, Any], **how: Any) -> dict[str, Any]:
        """The answer to PublicKeyCredentialCreationOptions."""
        self.user = websafe_decode(options["user"]["id"])
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(Aaguid.NONE, self.id, public)
        data = self._data(how, ATTESTED) + credential
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options, how)
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def sign(self, options: dict[str, Any], **how: Any) -> dict[str, Any]:
        """The answer to PublicKeyCredentialRequestOptions."""
        data, client = self._data(how), self._client("webauthn.get", options, how)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        user = how.get("user", self.user)
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=user)

    def _data(self, how: dict[str, Any], flags: int = 0) -> bytes:
        self.count = how.get("count", self.count + self.step)
        flags |= PRESENT | (VERIFIED if how.get("verified", True) else 0)
        return hashlib.sha256(how.get("rp", "localhost").encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, options: dict[str, Any], how: dict[str, Any]) -> bytes:
        said = {
            "type": how.get("kind", kind),
            "challenge": how.get("challenge", options["challenge"]),
            "origin": how.get("origin", "http://localhost"),
            "crossOrigin": how.get("framed", False),
        }
        return json.dumps(said).encode()

    def _answer(self, **response: bytes) -> dict[str, Any]:
        own = websafe_encode(self.id)
        told = {name: websafe_encode(value) for name, value in response.items()}
        return {"id": own, "rawId": own, "type": "public-key", "response": told, "clientExtensionResults": {}}
