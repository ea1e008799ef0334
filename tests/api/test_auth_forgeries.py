"""The known attacks on signed tokens (RFC 8725 and what was found since), each tried at every door that reads one."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from api_service.app import create_app
from api_service.tokens import Kind
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import add_user, tokens_of
from tests.support.forging import ATTACKERS_JWK, ATTACKERS_KEY, HEADER, encoded, forged
from tests.support.sse import answer_of

# Which kind of token each door asks for.
DOORS = {"bearer": "at+jwt", "stream": "at+jwt", "ticket": "ticket+jwt", "refresh": "rt+jwt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Whose token is forged, for which door; an attacker knows all of it but the key."""

    user_id: UUID
    kind: str
    key: bytes

    @property
    def header(self) -> dict[str, Any]:
        return HEADER | {"typ": self.kind}

    @property
    def claims(self) -> dict[str, Any]:
        now = int(time.time())
        names = {"sub": str(self.user_id), "jti": uuid4().hex, "family": str(uuid4()), "epoch": 0, "counter": 0}
        return {"iss": "docrelay", "aud": "docrelay-api", "iat": now, "nbf": now, "exp": now + 600, **names}

    @property
    def good(self) -> str:
        return forged(self.header, self.claims, self.key)


def unsigned(target: Target) -> dict[str, str]:
    """No signature, or one that means nothing."""
    found = {}
    for algorithm in ("none", "None", "NONE", "nOnE", "none ", "", "null"):
        head = encoded(target.header | {"alg": algorithm})
        found[f"alg {algorithm!r}, no signature"] = f"{head}.{encoded(target.claims)}."
        found[f"alg {algorithm!r}, some signature"] = f"{head}.{encoded(target.claims)}.{encoded(b'x' * 32)}"
    header, body, signature = target.good.split(".")
    return found | {
        "signature of zeros": f"{header}.{body}.{encoded(bytes(32))}",
        "signature of another token": f"{header}.{encoded(target.claims | {'epoch': 7})}.{signature}",
        "signature cut to a byte": f"{header}.{body}.{signature[:2]}",
        "signature twice": f"{header}.{body}.{signature}{signature}",
        "no algorithm": f"{encoded({'typ': target.kind})}.{body}.{signature}",
    }


def confused(target: Target) -> dict[str, str]:
    """Signed with what is no secret: a public key, an empty one, one that the token itself brings."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    signed = f"{encoded(target.header | {'alg': 'ES256'})}.{encoded(target.claims)}"
    found = {
        "HMAC with a public RSA key": forged(target.header, target.claims, pem),
        "HMAC with a public RSA key, said to be RS256": forged(target.header | {"alg": "RS256"}, target.claims, pem),
        "ES256 with a key of the attacker's": f"{signed}.{encoded(ec_key.sign(signed.encode(), ec.ECDSA(SHA256())))}",
        "ES256 with zeros (CVE-2022-21449)": f"{signed}.{encoded(bytes(64))}",
        "HMAC with nothing": forged(target.header, target.claims, b""),
        "HMAC with the issuer's name": forged(target.header, target.claims, b"docrelay"),
        "HMAC with the user's id": forged(target.header, target.claims, str(target.user_id).encode()),
    }
    for algorithm in ("HS384", "HS512"):
        named = target.header | {"alg": algorithm}
        found[f"{algorithm} with the right key"] = forged(named, target.claims, target.key, algorithm=algorithm)
        found[f"{algorithm}, said to be HS256"] = forged(target.header, target.claims, target.key, algorithm=algorithm)
    return found


def named_keys(target: Target) -> dict[str, str]:
    """Header keys that would choose the key or how to read the token."""
    chosen: list[tuple[dict[str, Any], bytes]] = [
        ({"jwk": ATTACKERS_JWK}, ATTACKERS_KEY),
        ({"jku": "http://127.0.0.1:9/keys.json"}, ATTACKERS_KEY),
        ({"x5u": "http://127.0.0.1:9/chain.pem"}, ATTACKERS_KEY),
        ({"x5c": [ATTACKERS_JWK["k"]]}, ATTACKERS_KEY),
        ({"kid": "../../../../dev/null"}, b""),
        ({"kid": "/proc/sys/kernel/randomize_va_space"}, b"2\n"),
        ({"kid": "' UNION SELECT 'a' -- "}, b"a"),
        ({"kid": "|/bin/true"}, b""),
        ({"kid": ATTACKERS_JWK["k"]}, ATTACKERS_KEY),
        ({"kid": None}, b""),
    ]
    found = {f"{next(iter(more))} {more}": forged(target.header | more, target.claims, key) for more, key in chosen}
    critical: list[dict[str, Any]] = [
        {"crit": ["exp"], "exp": 0}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": "b64"},
    ]  # fmt: skip
    for more in critical:
        found[f"crit {more}"] = forged(target.header | more, target.claims, target.key)
    return found


def misfit(target: Target) -> dict[str, str]:
    """Signed as it should be, and yet not for this door, this user or this time."""
    now = int(time.time())
    claims: list[dict[str, Any]] = [
        {"exp": now - 1}, {"exp": 0}, {"exp": -1}, {"exp": None}, {"exp": "9999999999"}, {"exp": True},
        {"exp": 10**20}, {"exp": [now + 600]}, {"exp": {}}, {"nbf": now + 600}, {"nbf": "0"}, {"nbf": None},
        {"iat": now + 600}, {"iat": "0"}, {"iat": None}, {"iss": "attacker"}, {"iss": ["docrelay"]}, {"iss": None},
        {"aud": "other"}, {"aud": ["other"]}, {"aud": None}, {"aud": {}}, {"sub": str(uuid4())}, {"sub": "admin"},
        {"sub": [str(target.user_id)]}, {"sub": ""}, {"epoch": 1}, {"epoch": -1}, {"epoch": "0"}, {"epoch": False},
        {"epoch": 0.5}, {"epoch": None}, {"family": ""}, {"family": 5}, {"jti": None},
    ]  # fmt: skip
    if target.kind == "rt+jwt":
        claims += [{"counter": "0"}, {"counter": 0.5}, {"counter": None}]
    found = {f"claim {wrong}": forged(target.header, target.claims | wrong, target.key) for wrong in claims}
    kinds: list[object] = ["", "JWT", "jwt", "application/at+jwt", "id+jwt", target.kind.upper(), None, [], 5]
    for kind in kinds:
        found[f"typ {kind!r}"] = forged(target.header | {"typ": kind}, target.claims, target.key)
    for other in set(DOORS.values()) - {target.kind}:
        found[f"typ of another door, {other}"] = forged(target.header | {"typ": other}, target.claims, target.key)
    return found


def spelled(target: Target) -> dict[str, str]:
    """The right token, spelled otherwise; a second spelling slips past whoever keeps a list of revoked ones."""
    header, body, signature = target.good.split(".")
    twice = encoded(json.dumps(target.claims).encode()[:-1] + b',"sub":"admin"}')
    return {
        "padded": f"{header}==.{body}==.{signature}=",
        "lower case": target.good.lower(),
        "four parts": f"{target.good}.{signature}",
        "five parts, as if encrypted": f"{header}.{header}.{body}.{signature}.{signature}",
        "JSON serialisation": json.dumps({"protected": header, "payload": body, "signature": signature}),
        "a claim twice": f"{header}.{twice}.{signature}",
        "a space inside": f"{header}. {body}.{signature}",
        "a tab inside": f"{header}\t.{body}.{signature}",
        "a comma and another": f"{target.good},{target.good}",
        "percent-encoded dots": target.good.replace(".", "%2E"),
        "full stops of another script": target.good.replace(".", "\N{IDEOGRAPHIC FULL STOP}"),
        "fullwidth letters": "".join(chr(ord(char) + 0xFEE0) for char in target.good if char.isalnum()),
        "of the standard alphabet": f"{header}.{body}.{base64.b64encode(bytes([251, 239, 190] * 11)).decode()}",
        "thirty kilobytes of claims": forged(target.header, target.claims | {"more": "x" * 30_000}, ATTACKERS_KEY),
        "deep nesting": f"{header}.{encoded(b'[' * 5_000)}.{signature}",
        "not UTF-8": f"{header}.{encoded(bytes([0xFF, 0xFE]) * 10)}.{signature}",
        "compressed": forged(target.header | {"zip": "DEF"}, {}, target.key),
    }


def attacks(target: Target) -> dict[str, str]:
    kinds = (unsigned, confused, named_keys, misfit, spelled)
    return {f"{kind.__name__}: {name}": token for kind in kinds for name, token in kind(target).items()}


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    """With a key that is long enough for every algorithm: no other may be refused for that reason alone."""
    return stack_settings.model_copy(update={"jwt_secret": SecretStr("0123456789abcdef" * 4)})


@pytest.fixture(scope="module")
async def anybody(settings: Settings, backends: Backends) -> AsyncIterator[httpx.AsyncClient]:
    """In this process: nothing here is let in, so that no answer goes on for longer than its head."""
    transport = httpx.ASGITransport(create_app(settings, backends))
    async with httpx.AsyncClient(transport=transport, base_url="http://api/api/v1") as client:
        yield client


@pytest.fixture(scope="module")
async def user_id(backends: Backends) -> UUID:
    return (await add_user(backends)).id


async def status_at(client: httpx.AsyncClient, door: str, token: str) -> int:
    bearer = {b"Authorization": f"Bearer {token}".encode()}
    match door:
        case "bearer":
            return (await client.get("/auth/me", headers=bearer)).status_code
        case "refresh":
            return (await client.post("/auth/refresh", json={"refresh_token": token})).status_code
        case "stream":
            return (await answer_of(client, headers=bearer)).status_code
    return (await answer_of(client, params={"ticket": token})).status_code


@pytest.mark.parametrize("door", DOORS)
async def test_no_forged_token_is_accepted(
    anybody: httpx.AsyncClient, settings: Settings, user_id: UUID, door: str
) -> None:
    target = Target(user_id=user_id, kind=DOORS[door], key=settings.signing_key())
    tokens = attacks(target)
    assert len(tokens) >= 100
    accepted = {
        name: status for name, token in tokens.items() if (status := await status_at(anybody, door, token)) != 401
    }
    # A body of more than eight kilobytes is refused unread.
    assert accepted == ({"spelled: thirty kilobytes of claims": 413} if door == "refresh" else {})


@pytest.mark.parametrize("kind", sorted(set(DOORS.values())))
def test_token_made_the_same_way_is_good_when_nothing_is_wrong_with_it(
    settings: Settings, user_id: UUID, kind: Kind
) -> None:
    """Without this, the refusals above would prove nothing."""
    target = Target(user_id=user_id, kind=kind, key=settings.signing_key())
    assert tokens_of(settings).read(target.good, kind).user_id == user_id


def test_header_that_names_a_key_changes_nothing_for_a_token_of_ours(settings: Settings, user_id: UUID) -> None:
    target = Target(user_id=user_id, kind="at+jwt", key=settings.signing_key())
    named: list[dict[str, Any]] = [{"jwk": ATTACKERS_JWK}, {"jku": "http://127.0.0.1:9/"}, {"x5c": ["x"]}, {"kid": "1"}]
    for more in named:
        token = forged(target.header | more, target.claims, target.key)
        assert tokens_of(settings).read(token, "at+jwt").user_id == user_id
