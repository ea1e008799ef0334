"""The SAM template as a walker sees it: what its roles may, who may reach what, and that it is what bootstrap makes."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.dynamodb.schema import definition
from shared.bootstrap import open_backends
from shared.settings import Settings
from tests.architecture.checkout import ROOT
from tests.support.sam_template import RESOURCES, TEMPLATE, TEXT, of_type
from worker_service.assembly import assemble

RULE = re.compile(r"^((?:[A-Za-z-]+ ?)+):(?!=)", re.MULTILINE)


FUNCTIONS = of_type("AWS::Serverless::Function")


def statements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


ALLOWED = [one for one in statements(RESOURCES) if one["Effect"] == "Allow"]


def test_template_is_shorter_than_300_lines() -> None:
    assert len(TEXT.splitlines()) < 300


def test_no_role_may_use_a_wildcard_action() -> None:
    assert len(ALLOWED) > 10
    assert [one for one in ALLOWED if any("*" in action for action in as_list(one["Action"]))] == []


def test_no_role_may_reach_every_resource_of_a_kind() -> None:
    resources = [json.dumps(resource) for one in ALLOWED for resource in as_list(one["Resource"])]
    # The one wildcard is what lies below o/ in the bucket.
    assert {resource for resource in resources if "*" in resource.replace("/o/*", "")} == set()


def test_no_role_may_scan() -> None:
    assert "Scan" not in TEXT


def test_every_function_has_policies_of_its_own() -> None:
    assert all("Role" not in one and one["Policies"] for one in FUNCTIONS.values())


def test_only_the_api_reads_the_signing_secret_and_only_the_worker_the_key() -> None:
    reading = {name for name, one in FUNCTIONS.items() if "GetSecretValue" in json.dumps(one["Policies"])}
    assert reading == {"ApiFunction", "WorkerFunction"}
    assert "OpenAiKeyArn" not in json.dumps(FUNCTIONS["ApiFunction"])
    assert "JwtSecret" not in json.dumps(FUNCTIONS["WorkerFunction"])


def test_no_bucket_is_public_unencrypted_or_reachable_without_tls() -> None:
    for bucket in of_type("AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["BucketEncryption"]
        assert "AccessControl" not in bucket
    (policy,) = of_type("AWS::S3::BucketPolicy").values()
    (statement,) = statements(policy)
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_queues_hide_a_message_for_six_times_as_long_as_its_function_may_take() -> None:
    queues, timeout = of_type("AWS::SQS::Queue"), TEMPLATE["Globals"]["Function"]["Timeout"]
    for mapping in of_type("AWS::Lambda::EventSourceMapping").values():
        queue = queues[mapping["EventSourceArn"]["Fn::GetAtt"].partition(".")[0]]
        function = FUNCTIONS[mapping["FunctionName"]["Ref"]]
        assert queue["VisibilityTimeout"] >= 6 * function.get("Timeout", timeout)
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


async def test_worker_has_time_for_the_longest_document() -> None:
    function = FUNCTIONS["WorkerFunction"]
    ocr_seconds = float(function["Environment"]["Variables"]["DOCRELAY_OCR_SECONDS"])
    # A table is not asked for anything until it is used.
    settings = Settings.load(
        _env_file=None, store="dynamodb", ocr_seconds=ocr_seconds, aws_endpoint_url="http://unused"
    )
    async with open_backends(settings) as backends:
        longest = assemble(settings, backends).job_seconds
    assert function["Timeout"] >= longest + 5


def test_every_alarm_goes_where_its_parameter_says() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert all(alarm["AlarmActions"] == topic for alarm in alarms.values())
    assert {alarm["MetricName"] for alarm in alarms.values()} == {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateAgeOfOldestMessage",
        "Errors",
        "Invocations",
        "FailedDocuments",
        "RefusedByModel",
        "5xx",
    }


def test_what_stays_among_the_dead_letters_rings_also_while_it_is_hidden() -> None:
    # Their function hides what it leaves there; the least of a period leaves out what is there in passing.
    assert {
        (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if "DeadLetters" in json.dumps(alarm)
    } == {
        ("ApproximateNumberOfMessagesVisible", "Minimum", 0),
        ("ApproximateNumberOfMessagesNotVisible", "Minimum", 0),
    }


def test_errors_of_every_function_that_no_client_waits_for_ring() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    failing = {one["Dimensions"][0]["Value"]["Ref"] for one in alarms if one["MetricName"] == "Errors"}
    # What becomes of the API's is a 5xx.
    assert failing == set(FUNCTIONS) - {"ApiFunction"}


def test_sweep_that_does_not_run_rings() -> None:
    # No rule, no permission and no concurrency left are no errors, and no numbers either.
    (alarm,) = [one for one in of_type("AWS::CloudWatch::Alarm").values() if one["MetricName"] == "Invocations"]
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "SweepFunction"}}]
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Sum", "LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching"


def test_every_counted_line_has_its_alarm() -> None:
    counted = {
        (one["MetricNamespace"]["Ref"], one["MetricName"])
        for properties in of_type("AWS::Logs::MetricFilter").values()
        for one in properties["MetricTransformations"]
    }
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    watched = {(one["Namespace"]["Ref"], one["MetricName"]) for one in alarms if "Ref" in one["Namespace"]}
    assert watched == counted != set()
    assert all("Dimensions" not in one for one in alarms if "Ref" in one["Namespace"])


def test_what_nobody_can_make_again_outlives_the_stack_and_its_own_condition() -> None:
    kept = {name for name, one in RESOURCES.items() if one.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert kept == {"Table", "JwtSecret", "AdminPassword"}
    assert all(RESOURCES[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_table_is_the_one_that_bootstrap_makes() -> None:
    table = of_type("AWS::DynamoDB::Table")["Table"]
    made = definition()
    assert {name: table[name] for name in made} == made


def test_every_handler_exists() -> None:
    for function in FUNCTIONS.values():
        module, _, name = function["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_runtime_has_the_c_library_that_wheels_of_its_bundle_want() -> None:
    # AWS: Amazon Linux 2 below Python 3.11 and older, Amazon Linux 2023 since.
    glibc = {"python3.11": (2, 26), "python3.12": (2, 34), "python3.13": (2, 34)}
    (wanted,) = re.findall(r"manylinux_(\d+)_(\d+)", (ROOT / "infra" / "bundle.sh").read_text())
    offered = TEMPLATE["Parameters"]["PythonRuntime"]["AllowedValues"]
    assert [one for one in offered if glibc[one] < tuple(map(int, wanted))] == []


def test_no_bundle_is_made_for_a_runtime_that_is_not_offered(tmp_path: Path) -> None:
    given = {"PATH": os.environ["PATH"], "ARTIFACTS_DIR": str(tmp_path), "LAMBDA_PYTHON": "3.11"}
    made = subprocess.run([ROOT / "infra" / "bundle.sh", "lambda-core", "shared"], env=given, check=False, cwd=ROOT)
    assert (made.returncode, list(tmp_path.iterdir())) == (2, [])


def test_every_bundle_is_a_target_of_the_makefile() -> None:
    targets = {name for rule in RULE.findall((ROOT / "Makefile").read_text()) for name in rule.split()}
    assert {f"build-{name}" for name in FUNCTIONS} <= targets


def test_every_variable_is_a_setting() -> None:
    names = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    given = [
        one["Environment"]["Variables"]
        for one in (TEMPLATE["Globals"]["Function"], *FUNCTIONS.values())
        if "Environment" in one
    ]
    assert {name for variables in given for name in variables} <= names


def test_secrets_are_passed_by_reference() -> None:
    variables = (
        FUNCTIONS["ApiFunction"]["Environment"]["Variables"] | FUNCTIONS["WorkerFunction"]["Environment"]["Variables"]
    )
    for name in ("JWT_SECRET", "JWT_SECRET_PREVIOUS", "DOCRELAY_PASSWORD", "OPENAI_API_KEY"):
        assert re.search(r"Arn|\.Id", json.dumps(variables[name]))


def test_what_reads_a_secret_may_decrypt_it_under_the_key_that_is_named() -> None:
    key = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Ref": "SecretsKeyArn"}}
    decrypting = {"Fn::If": ["HasSecretsKey", key, {"Ref": "AWS::NoValue"}]}
    for function in FUNCTIONS.values():
        ((given,),) = [policy.values() for policy in function["Policies"]]
        assert (decrypting in given) == ("secretsmanager:GetSecretValue" in json.dumps(given))
    assert TEMPLATE["Conditions"]["HasSecretsKey"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SecretsKeyArn"}, ""]}]}


@pytest.mark.parametrize("name", sorted(name for name in TEMPLATE["Parameters"] if name.endswith("Arn")))
def test_secret_itself_is_refused_where_its_arn_belongs(name: str) -> None:
    pattern, default = (TEMPLATE["Parameters"][name][what] for what in ("AllowedPattern", "Default"))
    assert re.fullmatch(pattern, default)
    assert re.fullmatch(pattern, "arn:aws-us-gov:kms:us-gov-east-1:123456789012:key/1234")
    assert not re.fullmatch(pattern, "sk-proj-0123456789")


def test_alias_of_a_key_which_gives_no_right_is_refused() -> None:
    pattern = TEMPLATE["Parameters"]["SecretsKeyArn"]["AllowedPattern"]
    assert not re.fullmatch(pattern, "arn:aws:kms:eu-central-1:123456789012:alias/mine")


def test_table_that_is_named_is_the_one_that_functions_use_and_may_use() -> None:
    own = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["DOCRELAY_TABLE"]
    assert own == {"Fn::If": ["NamesTable", {"Ref": "TableName"}, {"Ref": "Table"}]}
    assert TEMPLATE["Outputs"]["TableName"]["Value"] == own
    named = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${TableName}"
    arn = {"Fn::If": ["NamesTable", {"Fn::Sub": named}, {"Fn::GetAtt": "Table.Arn"}]}
    for function in FUNCTIONS.values():
        (resource,) = [one["Resource"] for one in statements(function) if "dynamodb:GetItem" in one["Action"]]
        for part in as_list(resource):
            _, given = part.get("Fn::Sub", (None, {"Arn": part}))
            assert given == {"Arn": arn}


def test_api_may_read_the_secret_before_when_one_is_named() -> None:
    (reading,) = [one for one in statements(FUNCTIONS["ApiFunction"]) if "ssm:GetParameter" in as_list(one["Action"])]
    named = {"Fn::If": ["HasPreviousSecret", {"Ref": "PreviousJwtSecretArn"}, {"Ref": "AWS::NoValue"}]}
    assert named in reading["Resource"]
    assert TEMPLATE["Parameters"]["PreviousJwtSecretArn"]["Default"] == ""
    assert TEMPLATE["Conditions"]["HasPreviousSecret"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "PreviousJwtSecretArn"}, ""]}]
    }


@pytest.mark.parametrize("event", sorted((ROOT / "events").glob("*.json")), ids=lambda path: path.stem)
def test_sample_event_is_json(event: Any) -> None:
    assert json.loads(event.read_text())


def test_sam_configuration_is_toml() -> None:
    assert tomllib.loads((ROOT / "samconfig.toml").read_text())["version"] == 0.1
