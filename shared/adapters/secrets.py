"""Settings that name a secret instead of holding it: read once at start from Secrets Manager or Parameter Store.

Knows no setting by name: every secret one may be a reference, which is the ARN of what holds it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from pydantic import SecretStr

from shared.adapters.aws import client_options, error_code
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings

# What is named does not exist, or not for this role: waiting does not help.
_REFUSED = {
    "AccessDeniedException",
    "InvalidRequestException",  # marked for deletion
    "ParameterNotFound",
    "ResourceNotFoundException",
    "ValidationException",
}
_ARN = re.compile(r"arn:[^:]+:(?P<service>secretsmanager|ssm):(?P<region>[^:]+):\d*:(?:secret:|parameter/).+")


def resolved(settings: Settings) -> Settings:
    """The settings with every reference replaced by what it refers to; without one, nothing is asked.

    Raises ConfigurationError for a reference to nothing, BackendUnavailableError.
    """
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    found = {name: _read(settings, match) for name, value in secrets.items() if (match := _ARN.fullmatch(value))}
    return settings.model_copy(update=found) if found else settings


def _read(settings: Settings, reference: re.Match[str]) -> SecretStr:
    arn, options = reference[0], client_options(settings) | {"region_name": reference["region"]}
    # A blocking client: there is no event loop yet.
    client: Any = get_session().create_client(reference["service"], **options)
    try:
        if reference["service"] == "ssm":
            return _plain(arn, client.get_parameter(Name=arn, WithDecryption=True)["Parameter"]["Value"])
        return _plain(arn, client.get_secret_value(SecretId=arn)["SecretString"])
    except ClientError as exc:
        if error_code(exc) in _REFUSED:
            raise ConfigurationError(f"{arn} cannot be read: {error_code(exc)}") from exc
        raise BackendUnavailableError(f"{arn} cannot be read: {error_code(exc)}") from exc
    except BotoCoreError as exc:
        raise BackendUnavailableError(f"{arn} cannot be read: AWS did not answer.") from exc
    except KeyError as exc:
        raise ConfigurationError(f"{arn} holds no text.") from exc


def _plain(arn: str, stored: str) -> SecretStr:
    """What is stored without the line break that files end with. Raises ConfigurationError for key/value pairs."""
    with suppress(ValueError):
        # As Secrets Manager's console makes them when nothing else is said.
        if isinstance(json.loads(stored), dict):
            raise ConfigurationError(f"{arn} holds key/value pairs. Store the secret by itself, as plain text.")
    return SecretStr(stored.strip())
