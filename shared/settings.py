"""Every setting and its default, read from the environment and `.env`.

Built only in composition roots; nothing below them reads the environment.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from shared.errors import ConfigurationError

Store = Literal["postgres", "dynamodb"]
QueueKind = Literal["fifo", "standard"]
QueueOrder = Literal["owner", "global", "none"]

MIN_SECRET_BYTES = 32
# Secrets that the READMEs of this project's ancestors, or its own examples, print.
SAMPLE_SECRETS = ("your_secret", "your_secure", "change-me", "change_me", "changeme")
# Read by docker-compose.yml, which has the same `.env`.
_READ_BY_COMPOSE = "DOCRELAY_AWS_IMAGE"
# Random hexadecimal digits have 15 or 16 different ones among 64.
MIN_SECRET_CHARACTERS = 10


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="DOCRELAY_",
        env_file=".env",
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
    )

    aws_region: str = Field(
        "us-east-1", pattern="^[a-z0-9-]+$", validation_alias=_names("AWS_REGION", "AWS_DEFAULT_REGION")
    )
    aws_endpoint_url: str | None = Field(None, validation_alias="AWS_ENDPOINT_URL")
    aws_access_key_id: str | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    aws_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_api: Literal["responses", "chat"] = Field("responses", validation_alias="OPENAI_API")
    openai_format: Literal["schema", "json", "text"] = Field("schema", validation_alias="OPENAI_FORMAT")
    openai_model: str = Field("gpt-4.1", validation_alias="OPENAI_MODEL")

    jwt_secret: SecretStr | None = Field(None, validation_alias=_names("JWT_SECRET", "JWT_SECRET_KEY"))
    # Still accepted, so that a new secret logs nobody out.
    jwt_secret_previous: SecretStr | None = Field(None, validation_alias="JWT_SECRET_PREVIOUS")
    jwt_expiry_minutes: int = Field(60, ge=1, validation_alias=_names("JWT_EXPIRY_MINUTES", "JWT_EXPIRY"))
    refresh_expiry_days: int = Field(30, ge=1)

    # Failed log-ins for a name from an address, and for an address; "off" is no limit.
    login_limit_name: str = "5/minute; 15/hour; 50/day"
    login_limit_address: str = "30/minute; 200/hour"
    # Requests of a user, and of an address.
    rate_limit_user: str = "off"
    rate_limit_address: str = "off"
    # Addresses and networks whose X-Forwarded-For is believed; None: nobody's.
    trusted_proxies: str | None = None

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    username: str | None = None
    password: SecretStr | None = None

    bucket: str = "docrelay-documents"
    # Where clients reach S3, when that is not where we do; presigned requests are made for it.
    s3_public_url: str | None = None
    queue_name: str = "docrelay-jobs"
    # A standard queue keeps no order and ignores queue_order and lanes_per_owner.
    queue_kind: QueueKind = "fifo"
    queue_order: QueueOrder = "owner"
    lanes_per_owner: int = Field(1, ge=1, le=100)
    store: Store = "postgres"
    database_url: SecretStr = SecretStr("postgresql://docrelay:docrelay@127.0.0.1:5432/docrelay")
    table: str = "docrelay"

    max_file_bytes: int = Field(10_485_760, ge=1)
    max_files: int = Field(100, ge=1)
    # What one user may keep; None is no limit.
    max_documents_per_user: int | None = Field(None, ge=1)
    max_bytes_per_user: int | None = Field(None, ge=1)
    # Requests that read a body at the same time, each with at most one file in memory; others wait in TCP.
    upload_slots: int = Field(16, ge=1)
    body_idle_seconds: float = Field(30, gt=0)

    # Behind Lambda an answer may have 6 MB; a longer text is answered with where it lies.
    text_max_bytes: int | None = Field(None, ge=1)

    stream_seconds: float = Field(300, gt=0)
    stream_heartbeat_seconds: float = Field(15, gt=0, le=15)
    stream_tick_seconds: float = Field(0.1, gt=0)
    # Behind Lambda an answer arrives when it has ended, and holds a function until then.
    stream_linger_seconds: float | None = Field(None, ge=0)
    stream_max_bytes: int | None = Field(None, ge=1)
    # None: an admin has no stream over all owners.
    admin_stream_tick_seconds: float | None = Field(None, gt=0)
    max_streams_per_user: int = Field(100, ge=1)
    max_streams: int = Field(5_000, ge=1)

    concurrency: int = Field(1, ge=1, le=100)
    # How many messages one receive may bring, if as many slots are free. Those of one group wait for each other.
    receive_batch: int = Field(1, ge=1, le=10)
    lease_seconds: int = Field(60, ge=2)
    poll_wait_seconds: int = Field(20, ge=0, le=20)
    sweep_seconds: float = Field(5, gt=0)
    dead_letter_seconds: float = Field(60, gt=0)
    max_attempts: int = Field(5, ge=1)
    shutdown_seconds: float = Field(25, gt=0)
    # Random for every process start unless a supervisor has to know it, as the embedded stack does.
    instance_id: str | None = None

    # What a document goes through, in order. Those of installed packages are named here too.
    stages: str = "extract,ocr,analyze,classify"

    # A folder of profiles beside the one that is shipped.
    profiles: Path | None = None

    extraction_seconds: float = Field(25, gt=0)
    extraction_memory_bytes: int = Field(268_435_456, ge=67_108_864)

    # Pages without text are read by Tesseract where it is installed.
    ocr_max_pages: int = Field(20, ge=0)
    ocr_seconds: float = Field(120, gt=0)
    ocr_languages: str = "eng"

    llm_max_attempts: int = Field(2, ge=1, le=5)
    llm_seconds: float = Field(120, gt=0)
    # A longer document is read in chunks, each a call, and the answers are merged by one more.
    llm_chunk_tokens: int = Field(32_000, ge=500)
    llm_chunks_at_once: int = Field(4, ge=1, le=64)
    llm_max_chunks: int = Field(16, ge=1)
    llm_max_tokens: int = Field(400_000, ge=500)
    # What an answer may have; one that is cut off is asked for once more with twice as many.
    llm_output_tokens: int = Field(8_000, ge=500)
    # Reserved before each call; none is no limit.
    llm_budget_document_usd: float | None = Field(None, gt=0)
    llm_budget_day_usd: float | None = Field(None, gt=0)
    # USD per million input and output tokens; the longest matching model-name prefix counts.
    llm_prices: Annotated[dict[str, tuple[float, float]], NoDecode] = {
        "gpt-4.1": (2.0, 8.0),
        "gpt-4.1-mini": (0.4, 1.6),
        "gpt-4.1-nano": (0.1, 0.4),
    }

    # The embedded stack only.
    home: Path = Path(".docrelay")
    workers: int = Field(1, ge=1, le=64)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: str | None) -> str | None:
        for entry in given.split(",") if given else ():
            try:
                network = ip_network(entry.strip())
            except ValueError as exc:
                # A name, or a network with bits behind its prefix, would never be that of a connection.
                raise ValueError(f"{exc}. Write addresses and networks such as 10.0.0.7,10.1.0.0/16") from exc
            if network.prefixlen == 0:
                raise ValueError(f"{network} is everybody. Write addresses and networks such as 10.0.0.7,10.1.0.0/16")
        return given

    @field_validator("aws_endpoint_url", "s3_public_url", "openai_base_url")
    @classmethod
    def _url(cls, given: str | None) -> str | None:
        """Nothing of the value is told: it may hold a password."""
        given = given.strip() if given else given
        try:
            address = urlsplit(given or "https://default")
            spaced = any(character.isspace() for character in given or "")
            sound = address.scheme in {"http", "https"} and address.hostname and address.port != 0 and not spaced
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("Write a URL with its scheme, such as https://example.org or http://127.0.0.1:4566")
        return given

    @field_validator("openai_base_url")
    @classmethod
    def _to_be_extended(cls, given: str | None) -> str | None:
        """The SDK puts what it asks for behind it."""
        address = urlsplit(given or "")
        if address.query or address.fragment:
            raise ValueError(
                "Write it without ? and #. Azure: https://RESOURCE.openai.azure.com/openai/v1, and the deployment's "
                "name as OPENAI_MODEL"
            )
        if address.path.rstrip("/").endswith(("/chat/completions", "/responses")):
            raise ValueError("Write it up to /v1, without /chat/completions or /responses")
        return given

    @field_validator("llm_prices", mode="before")
    @classmethod
    def _prices(cls, given: Any) -> Any:
        try:
            return json.loads(given) if isinstance(given, str) else given
        except ValueError as exc:
            raise ValueError('Write JSON, such as {"gpt-4.1": [2.0, 8.0]}') from exc

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the settings. Raises ConfigurationError naming every variable that is wrong."""
        try:
            return cls(**overrides)
        except ValidationError as exc:
            problems = "; ".join(f"{_variable(error['loc'])}: {error['msg']}" for error in exc.errors())
            raise ConfigurationError(problems) from exc

    @classmethod
    def unknown(cls) -> list[str]:
        """Variables of the environment and `.env` that are named like a setting and are none: misspelt, most likely."""
        known = {f"DOCRELAY_{name.upper()}" for name, field in cls.model_fields.items() if not field.validation_alias}
        given = {name.upper() for source in (EnvSettingsSource, DotEnvSettingsSource) for name in source(cls).env_vars}
        return sorted(name for name in given - known - {_READ_BY_COMPOSE} if name.startswith("DOCRELAY_"))

    def signing_key(self) -> bytes:
        """The JWT signing key. Raises ConfigurationError for a missing, short or sample secret."""
        if self.jwt_secret is None:
            raise ConfigurationError("JWT_SECRET is not set. Make one: openssl rand -hex 32")
        return _strong("JWT_SECRET", self.jwt_secret)

    def previous_signing_key(self) -> bytes | None:
        """The key before it, whose tokens still count; held to the same rules."""
        return _strong("JWT_SECRET_PREVIOUS", self.jwt_secret_previous) if self.jwt_secret_previous else None


def _strong(name: str, given: SecretStr) -> bytes:
    secret = given.get_secret_value()
    if not secret:
        raise ConfigurationError(f"{name} is not set. Make one: openssl rand -hex 32")
    weak = len(secret.encode()) < MIN_SECRET_BYTES or len(set(secret)) < MIN_SECRET_CHARACTERS
    if weak or any(sample in secret.lower() for sample in SAMPLE_SECRETS):
        raise ConfigurationError(
            f"{name} is a sample, too regular or shorter than {MIN_SECRET_BYTES} bytes. Make one: openssl rand -hex 32"
        )
    return secret.encode()


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else f"DOCRELAY_{name.upper()}"
