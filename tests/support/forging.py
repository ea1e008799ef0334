"""Makes tokens without the library that the API checks them with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

HEADER = {"typ": "at+jwt", "alg": "HS256"}
ATTACKERS_KEY = b"the attacker's own key, of good length"
ATTACKERS_JWK = {"kty": "oct", "k": base64.urlsafe_b64encode(ATTACKERS_KEY).decode().rstrip("=")}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encoded(part: bytes | Mapping[str, Any]) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes, *, algorithm: str = "HS256") -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), HASHES[algorithm]))}"
