"""Who may call: users and the refresh families that their log-ins start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """`token_epoch` is part of every token: raising it revokes them all."""

    id: UUID
    name: str
    password_hash: str
    role: Role
    disabled: bool = False
    token_epoch: int = 0
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshFamily:
    """All refresh tokens that descend from one log-in; `counter` names the only one that is still good."""

    id: UUID
    user_id: UUID
    counter: int
    rotated_at: datetime
    expires_at: datetime
    revoked: bool = False
