"""Settings that name a secret are read from where the secret is; others ask nobody."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import boto3
import pytest

from shared.adapters.secrets import resolved
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings

VALUE = "0123456789abcdef-from-a-secret-store"


def client(settings: Settings, service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=settings.aws_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def naming(settings: Settings, arn: str, **changed: Any) -> Settings:
    return Settings.load(
        _env_file=None, jwt_secret=arn, **{"aws_endpoint_url": settings.aws_endpoint_url, **KEYS, **changed}
    )


KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def test_secret_of_secrets_manager_is_read(stack_settings: Settings) -> None:
    made = client(stack_settings, "secretsmanager").create_secret(Name=f"s{uuid4().hex}", SecretString=VALUE)
    assert resolved(naming(stack_settings, made["ARN"])).signing_key() == VALUE.encode()


def test_last_line_break_of_a_file_is_no_part_of_the_secret(stack_settings: Settings) -> None:
    made = client(stack_settings, "secretsmanager").create_secret(Name=f"s{uuid4().hex}", SecretString=f"{VALUE}\n")
    assert resolved(naming(stack_settings, made["ARN"])).signing_key() == VALUE.encode()


def test_pairs_of_keys_and_values_are_refused_with_what_to_store_instead(stack_settings: Settings) -> None:
    pairs = json.dumps({"JWT_SECRET": VALUE})
    made = client(stack_settings, "secretsmanager").create_secret(Name=f"s{uuid4().hex}", SecretString=pairs)
    with pytest.raises(ConfigurationError, match="plain text") as caught:
        resolved(naming(stack_settings, made["ARN"]))
    assert made["ARN"] in str(caught.value)
    assert VALUE not in str(caught.value)


def test_secret_that_is_marked_for_deletion_is_a_mistake_in_the_configuration(stack_settings: Settings) -> None:
    secrets = client(stack_settings, "secretsmanager")
    made = secrets.create_secret(Name=f"s{uuid4().hex}", SecretString=VALUE)
    secrets.delete_secret(SecretId=made["ARN"])
    with pytest.raises(ConfigurationError, match=made["ARN"]):
        resolved(naming(stack_settings, made["ARN"]))


@pytest.mark.parametrize("prefix", ["/docrelay/", ""])
def test_parameter_of_parameter_store_is_read(stack_settings: Settings, prefix: str) -> None:
    ssm, name = client(stack_settings, "ssm"), f"{prefix}{uuid4().hex}"
    ssm.put_parameter(Name=name, Value=VALUE, Type="SecureString")
    arn = ssm.get_parameter(Name=name)["Parameter"]["ARN"]
    assert resolved(naming(stack_settings, arn)).signing_key() == VALUE.encode()


@pytest.mark.parametrize("rest", ["secretsmanager:us-east-1:000000000000:secret:no", "ssm:us-east-1:1:parameter/no"])
def test_reference_to_nothing_is_a_mistake_in_the_configuration(stack_settings: Settings, rest: str) -> None:
    with pytest.raises(ConfigurationError, match=rest):
        resolved(naming(stack_settings, f"arn:aws:{rest}"))


def test_store_that_does_not_answer_is_not_a_mistake_in_the_configuration(stack_settings: Settings) -> None:
    settings = naming(stack_settings, "arn:aws:ssm:us-east-1:1:parameter/a", aws_endpoint_url="http://127.0.0.1:9")
    with pytest.raises(BackendUnavailableError):
        resolved(settings)


def test_settings_without_a_reference_are_left_as_they_are() -> None:
    settings = Settings.load(_env_file=None, jwt_secret=VALUE, aws_endpoint_url="http://127.0.0.1:9")
    assert resolved(settings) is settings
