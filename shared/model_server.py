"""Which model is asked, where and how, as the settings say. Knows no SDK, and tells nobody the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from shared.errors import ConfigurationError
from shared.settings import Settings

# Written out, because without one the SDK looks into the environment itself.
_OPENAI = "https://api.openai.com/v1"
# A server of one's own takes any word, and the SDK wants one.
_NO_KEY = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelServer:
    key: str = field(repr=False)
    url: str
    api: Literal["responses", "chat"]
    model: str

    @property
    def host(self) -> str:
        """The URL's host and port, without the password that may be before them."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def __str__(self) -> str:
        return f"{self.model} at {self.host} (OPENAI_API={self.api})"


def model_server(settings: Settings) -> ModelServer | None:
    """None when there is none, and the offline analyzer works. Raises ConfigurationError for what can be no key."""
    key = settings.openai_api_key.get_secret_value().strip() if settings.openai_api_key else ""
    if not key and not settings.openai_base_url:
        return None
    # Blank to tilde: all that a header takes and a key has. A key that was read from a secret is looked at here first.
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError("OPENAI_API_KEY has characters that no key has: a line break, a blank, a curly quote.")
    return ModelServer(
        key=key or _NO_KEY,
        url=settings.openai_base_url or _OPENAI,
        api=settings.openai_api,
        model=settings.openai_model,
    )
