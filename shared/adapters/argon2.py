"""Argon2Passwords: hashing in a bounded pool of threads, so that log-ins cannot take every core."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pwdlib import PasswordHash

_AT_ONCE = 2


class Argon2Passwords:
    """Hashes and verifies passwords with argon2id (pwdlib's recommended parameters)."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._loaded: PasswordHash | None = None

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher().hash, password)

    async def verify(self, password: str, hashed: str) -> bool:
        async with self._slots:
            return await asyncio.to_thread(self._hasher().verify, password, hashed)

    def _hasher(self) -> PasswordHash:
        if self._loaded is None:
            # Only what checks passwords needs the library: a worker has none.
            from pwdlib import PasswordHash  # noqa: PLC0415

            self._loaded = PasswordHash.recommended()
        return self._loaded
