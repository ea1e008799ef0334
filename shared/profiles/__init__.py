"""Profiles: named, versioned choices of prompt, model and stage options, read from files; and A/B splits between them.

Knows no model and no stage: what a profile says is used by whoever it is for.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from shared.analysis import SCHEMA_VERSION
from shared.errors import ConfigurationError, UnknownProfileError

DEFAULT = "default"
_SHIPPED = Path(__file__).parent
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Arm(BaseModel):
    """One side of a split: whose profile it is, and which part of the documents it gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    weight: float = Field(1, gt=0, allow_inf_nan=False)


class Profile(BaseModel):
    """What a file says. One with `arms` only shares the documents out among other profiles.

    `model` None is that of the settings; `stages` are options of added stages, by their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str = Field(min_length=1, max_length=64)
    schema_version: str = Field(SCHEMA_VERSION, alias="schema")
    model: str | None = None
    instructions: str = Field("", max_length=20_000)
    stages: dict[str, dict[str, JsonValue]] = {}
    arms: dict[str, Arm] = {}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"It is written for schema {self.schema_version}; results have {SCHEMA_VERSION}.")
        if self.arms and (self.model or self.instructions or self.stages):
            raise ValueError("A profile with arms has nothing else: what they do is in the profiles that they name.")
        return self

    @property
    def fingerprint(self) -> str:
        """Of what a model is told: two profiles of the same name and version may differ all the same.

        Each added stage has its options in a fingerprint of its own.
        """
        content = self.model_dump(mode="json", exclude={"arms", "stages"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def arm_of(self, document_id: UUID) -> str:
        """The arm that a document falls to: always the same one, by a hash of its id."""
        digest = hashlib.sha256(f"{self.name}:{document_id}".encode()).digest()
        point = int.from_bytes(digest[:8]) / 2**64 * sum(arm.weight for arm in self.arms.values())
        for name, arm in self.arms.items():
            point -= arm.weight
            if point < 0:
                return name
        return next(reversed(self.arms))


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The profile that a document is analyzed by, and the `arm` that it came from, as `<split>/<arm>`."""

    profile: Profile
    arm: str | None = None

    @property
    def label(self) -> str:
        """What calls are counted under."""
        return self.arm or self.profile.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiles:
    by_name: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return sorted(self.by_name)

    def choose(self, name: str, document_id: UUID) -> Choice:
        """Raises UnknownProfileError."""
        profile = self.by_name.get(name)
        if profile is None:
            raise UnknownProfileError(f"There is no profile {name} (any more). There are: {', '.join(self.names)}.")
        if not profile.arms:
            return Choice(profile=profile)
        arm = profile.arm_of(document_id)
        return Choice(profile=self.by_name[profile.arms[arm].profile], arm=f"{name}/{arm}")


def load_profiles(folder: Path | None = None) -> Profiles:
    """Read the profile that is shipped, and those of a folder, each a TOML file of that name.

    Raises ConfigurationError naming the file and what is wrong with it.
    """
    files = [*_SHIPPED.glob("*.toml"), *_files_in(folder)]
    profiles = {path.stem: _read(path) for path in files}
    instructions = profiles[DEFAULT].instructions
    completed = {
        name: one if one.instructions or one.arms else one.model_copy(update={"instructions": instructions})
        for name, one in profiles.items()
    }
    for name, profile in completed.items():
        _check_arms(name, profile, completed)
    return Profiles(by_name=completed)


def _files_in(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigurationError(f"DOCRELAY_PROFILES: {folder} is no folder.")
    return sorted(folder.glob("*.toml"))


def _read(path: Path) -> Profile:
    if not _NAME.fullmatch(path.stem):
        raise ConfigurationError(f"{path}: a profile's name has lower-case letters, digits, - and _, at most 64.")
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text())
        return Profile.model_validate({**content, "name": path.stem})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"{path}: {exc}") from exc
    except ValidationError as exc:
        told = "; ".join(f"{'.'.join(map(str, error['loc'])) or 'profile'}: {error['msg']}" for error in exc.errors())
        raise ConfigurationError(f"{path}: {told}") from exc


def _check_arms(name: str, profile: Profile, profiles: Mapping[str, Profile]) -> None:
    for arm, one in profile.arms.items():
        if one.profile not in profiles:
            raise ConfigurationError(f"The profile {name} names {one.profile} in its arm {arm}: there is none.")
        if profiles[one.profile].arms:
            raise ConfigurationError(f"The profile {name} names {one.profile} in its arm {arm}, which is a split too.")


SHIPPED = load_profiles().by_name[DEFAULT]
