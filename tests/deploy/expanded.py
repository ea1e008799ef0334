"""What SAM makes of the template, looked at where the emulator drops or allows what AWS does not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from tests.deploy.emulated_aws import run

# In the emulator's environment: the translator wants an older pydantic than ours.
_PROGRAM = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.yaml_helper import yaml_parse

class NoPolicies:
    def get_paginator(self, name): return self
    def paginate(self, **_): return []

loader = ManagedPolicyLoader(NoPolicies())
loader._policy_map = {"AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}
template = yaml_parse(open("template.yaml").read())
template["Globals"]["Function"]["CodeUri"] = "s3://packaged/bundle"
json.dump(transform(template, {}, loader), sys.stdout, default=str)
"""
LEAST_VISIBILITY = 6


def expanded() -> dict[str, Any]:
    text = run(".venv-emulator/bin/python", "-W", "ignore", "-c", _PROGRAM)
    template: dict[str, Any] = json.loads(text[text.index("{") :])
    return template


def check(template: dict[str, Any]) -> list[str]:
    """What is wrong with it."""
    resources: dict[str, dict[str, Any]] = template["Resources"]

    def of_type(kind: str) -> dict[str, Any]:
        return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}

    table, (bucket,) = of_type("AWS::DynamoDB::Table")["Table"], of_type("AWS::S3::Bucket").values()
    functions, queues = of_type("AWS::Lambda::Function"), of_type("AWS::SQS::Queue")
    roles = [json.dumps(one["Role"]) for one in functions.values()]
    wrong = {
        "expiry or recovery of the table is off": not (
            table["TimeToLiveSpecification"]["Enabled"]
            and table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        ),
        "the bucket has no lifecycle": not bucket["LifecycleConfiguration"]["Rules"],
        "two functions share a role": len(set(roles)) != len(functions),
        "an event source does not report single failures": any(
            mapping["FunctionResponseTypes"] != ["ReportBatchItemFailures"]
            for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        ),
        "a queue hides messages for too short a time": any(
            queues[queue]["VisibilityTimeout"] < LEAST_VISIBILITY * functions[function]["Timeout"]
            for queue, function in (("Queue", "WorkerFunction"), ("DeadLetters", "DeadLetterFunction"))
        ),
        "a reference leads nowhere": set(references(resources)) - set(resources) - set(template["Parameters"]),
    }
    return [f"{what}: {found}" for what, found in wrong.items() if found]


def references(node: Any) -> Iterator[str]:
    """The names in every Ref and GetAtt, AWS's own pseudo parameters left out."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and not value.startswith("AWS::"):
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.partition(".")[0]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


if __name__ == "__main__":
    sys.exit("\n".join(check(expanded())) or None)
