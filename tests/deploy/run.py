"""Deploys the template with the SAM CLI to an emulated AWS, and verifies what is deployed: `make deploy-test`.

Each step prints one line; a step that fails ends it with exit code 1.
"""

from __future__ import annotations

import io
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.deploy import bundles, expanded
from tests.deploy.emulated_aws import ROOT, STACK, EmulatedAWS, run
from tests.support.documents import pdf
from tests.support.sam_template import of_type

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MEBIBYTE = 1_048_576


@dataclass(kw_only=True)
class Deployment:
    aws: EmulatedAWS
    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"{self.aws.url}/_aws/execute-api/{self.outputs['HttpApiId']}/$default"

    @property
    def password(self) -> str:
        answer = self.aws.client("secretsmanager").get_secret_value(SecretId=self.outputs["AdminPasswordArn"])
        return str(answer["SecretString"])

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=f"{self.base_url}/api/v1", timeout=60) as client:
            answer = client.post("/auth/login", json={"username": "admin", "password": self.password})
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client


def lint(_: Deployment) -> str:
    run(".venv-sam/bin/sam", "validate", "--lint")
    run(".venv-sam/bin/cfn-lint", "template.yaml")
    return "sam validate --lint and cfn-lint find nothing"


def expand(_: Deployment) -> str:
    template = expanded.expanded()
    wrong = expanded.check(template)
    assert not wrong, wrong
    return f"the {len(template['Resources'])} resources that SAM makes of it are as AWS needs them"


def build(deployment: Deployment) -> str:
    folder = deployment.folder / "build"
    # The emulator runs functions in its own interpreter, whatever runtime the template asks for.
    run(".venv-sam/bin/sam", "build", "--build-dir", str(folder), LOCAL_PYTHON=PYTHON)
    built = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    assert all(any(path.glob("shared/__pycache__/*.pyc")) for path in built), "a bundle is not compiled"
    sizes = {path.name: bundles.megabytes(path) for path in built}
    assert max(sizes.values()) < 250
    made = ", ".join(f"{name} {size} MB" for name, size in sizes.items())
    return f"for this machine's Python {PYTHON}: {made}"


def deploy(deployment: Deployment, *parameters: str) -> str:
    template = str(deployment.folder / "build" / "template.yaml")
    settings = str(ROOT / "samconfig.toml")
    given = ("--template-file", template, "--config-file", settings, "--no-confirm-changeset", "--no-progressbar")
    changed = ("--parameter-overrides", *parameters) if parameters else ()
    deployment.aws.sam("deploy", *given, *changed)
    deployment.outputs = deployment.aws.outputs()
    # SAM has written out what YAML merges in the template.
    written = of_type("AWS::CloudWatch::Alarm").values()
    alarms = deployment.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    facts = ("AlarmDescription", "MetricName", "ComparisonOperator", "Threshold", "TreatMissingData")
    assert sorted([one[fact] for fact in facts] for one in alarms) == sorted(
        [one[fact] for fact in facts] for one in written
    )
    return f"sam deploy: CREATE_COMPLETE, {len(alarms)} alarms"


def flow(deployment: Deployment) -> str:
    said = run(
        *(sys.executable, str(ROOT / "tests/e2e_flow.py"), "--base-url", deployment.base_url, "--timeout", "120"),
        *("--username", "admin", "--password", deployment.password),
    )
    print("".join(f"      {line}\n" for line in said.splitlines()), end="")
    return f"e2e_flow at the emulated API Gateway: {said.splitlines()[-1]}"


def presigned(deployment: Deployment) -> str:
    """A file too large for API Gateway goes to the bucket; its notification alone brings the document on its way."""
    page = pdf(["The turbine hall was inspected in March."])
    whole = page + b"\n%" + bytes(10 * MEBIBYTE - len(page) - 2)
    with deployment.client() as client:
        begun = begin(client, "ten.pdf", len(whole))
        assert put(begun, whole).status_code == 204
        assert ended(client, begun)["status"] == "completed"
        too_large = put(begin(client, "eleven.pdf", len(whole)), whole + bytes(MEBIBYTE))
        assert too_large.status_code == 400, too_large.text
        assert "EntityTooLarge" in too_large.text
        lying = begin(client, "page.docx", len(page))
        put(lying, page)
        client.post(f"/documents/{lying['id']}/uploaded").raise_for_status()
        failed = ended(client, lying)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "unsupported_type"), failed
        text = "\n".join(['"Ada" met Bob.'] * 300_000)
        long = begin(client, "long.txt", len(text))
        put(long, text.encode())
        assert ended(client, long)["status"] == "completed"
        leading = client.get(f"/documents/{long['id']}/text")
        assert leading.status_code == 302, leading
        assert httpx.get(leading.headers["location"]).text == text
    return (
        "10 MiB by a form: completed; 11 MiB: EntityTooLarge; a PDF called .docx: failed, unsupported_type; "
        f"a text of {len(text) / 1e6:.1f} MB: read from the bucket"
    )


def begin(client: httpx.Client, filename: str, size: int) -> dict[str, Any]:
    answer = client.post("/documents/uploads", json={"filename": filename, "size": size, "content_type": ""})
    begun: dict[str, Any] = answer.raise_for_status().json()
    return begun


def put(begun: dict[str, Any], body: bytes) -> httpx.Response:
    return httpx.post(begun["url"], data=begun["fields"], files={"file": io.BytesIO(body)}, timeout=60)


def ended(client: httpx.Client, begun: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        status: dict[str, Any] = client.get(f"/documents/{begun['id']}/status", params={"wait": 10}).json()
        if status["terminal"]:
            return status
    raise AssertionError(f"not at its end: {status}")


def under_the_runtime_client(deployment: Deployment) -> str:
    return bundles.check(deployment.aws, deployment.folder / "build")


def redeploy(deployment: Deployment) -> str:
    before = deployment.outputs
    own = deployment.aws.client("secretsmanager").create_secret(Name="own", SecretString=secrets.token_hex(32))["ARN"]
    changed = (f"JwtSecretArn={own}", f"PreviousJwtSecretArn={before['JwtSecretArn']}")
    with deployment.client() as client:
        deploy(deployment, "WorkerConcurrency=7", "LogDays=7", *changed)
        # The token is of the secret that the stack made and no longer has.
        assert client.get("/documents").status_code == 200
    assert {**deployment.outputs, "JwtSecretArn": before["JwtSecretArn"]} == before
    mappings = deployment.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert 7 in {mapping.get("ScalingConfig", {}).get("MaximumConcurrency") for mapping in mappings}, mappings
    assert httpx.get(f"{deployment.base_url}/readyz", timeout=60).status_code == 200
    return "changed parameters are applied, a token of the secret before counts, everything else is where it was"


def delete(deployment: Deployment) -> str:
    bucket = deployment.outputs["BucketName"]
    s3 = deployment.aws.client("s3")
    for stored in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=stored["Key"])
    deployment.aws.sam("delete", "--stack-name", STACK, "--no-prompts", "--region", "us-east-1")
    left = deployment.aws.client("lambda").list_functions()["Functions"]
    assert not left, left
    return "sam delete leaves no function"


STEPS: tuple[Callable[[Deployment], str], ...] = (
    *(lint, expand, build, deploy, flow, presigned),
    *(under_the_runtime_client, redeploy, delete),
)


def main() -> int:
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="docrelay-deploy-") as name:
        folder = Path(name)
        with EmulatedAWS(folder=folder / "aws") as aws:
            deployment = Deployment(aws=aws, folder=folder)
            for number, step in enumerate(STEPS, 1):
                step_started_at = time.monotonic()
                said = step(deployment)
                title = step.__name__.replace("_", " ")
                print(f"{number:>2}  {title}: {said} ({time.monotonic() - step_started_at:.0f} s)", flush=True)
    print(f"PASS {len(STEPS)}/{len(STEPS)} in {time.monotonic() - started_at:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
