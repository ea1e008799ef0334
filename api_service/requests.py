"""What small request bodies bring, as pydantic models. Files and labels come otherwise: multipart.py, labels.py."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from api_service.names import MAX_FOLDER_CHARS
from api_service.schemas import Schema
from shared.accounts import Role
from shared.profiles import DEFAULT

_USERNAME = re.compile(r"[^\x00-\x20\x7f/]+")
_Password = Annotated[str, Field(min_length=12, max_length=1024)]


def _written_together(name: str) -> str:
    # A pattern says the same, but its error is for programmers.
    if not _USERNAME.fullmatch(name):
        raise ValueError("Must have no spaces, control characters or slashes.")
    return name


class LoginIn(Schema):
    username: str = Field(max_length=256)
    password: str = Field(max_length=1024)


class RefreshIn(Schema):
    """What else OAuth libraries send, such as `grant_type`, is passed over."""

    refresh_token: str


class ProcessIn(Schema):
    """How a document is to be processed. `force` asks for a new result where there is one already."""

    model_config = ConfigDict(extra="forbid")

    profile: str | None = Field(None, max_length=64, description="The document's own when it is not given.")
    force: bool = False


class UserIn(Schema):
    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, AfterValidator(_written_together)] = Field(
        min_length=1, max_length=64, json_schema_extra={"pattern": f"^{_USERNAME.pattern}$"}
    )
    password: _Password
    role: Role = Role.USER


class UserChange(Schema):
    """What is to change; at least one of them."""

    model_config = ConfigDict(extra="forbid")

    password: _Password | None = None
    role: Role | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if (self.password, self.role, self.disabled) == (None, None, None):
            raise ValueError("Name what is to change: password, role or disabled.")
        return self


class PresignedIn(Schema):
    model_config = ConfigDict(extra="forbid")

    filename: str = Field(max_length=1024)
    size: int = Field(ge=0, description="Bytes of the file; the form takes no more.")
    content_type: str = Field("", max_length=255, description="Its extension decides when this is empty.")
    folder: str = Field("", max_length=MAX_FOLDER_CHARS)
    process: bool = True
    profile: str = Field(DEFAULT, max_length=64)
