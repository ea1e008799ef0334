"""The container files agree with the code: schema, commands, variables, images, ports."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import typer.main
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from api_service.__main__ import STOP_SECONDS
from docrelay.cli import app
from tests.architecture.checkout import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("bootstrap", "api", "worker")
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text()


def stage(name: str) -> str:
    """A stage of the Dockerfile with its instructions."""
    return re.split(rf"^FROM \S+ AS {name}$", DOCKERFILE, flags=re.MULTILINE)[1].partition("\nFROM ")[0]


@pytest.mark.parametrize(
    ("schema", "path"),
    [("compose-spec", "docker-compose.yml"), ("github-workflows", ".github/workflows/ci.yml")],
)
def test_file_passes_its_published_schema(schema: str, path: str) -> None:
    result = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", str(ROOT / path)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting(service: str) -> None:
    names = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(SERVICES[service]["environment"]) - names == set()


@pytest.mark.parametrize(("target", "package"), [("api", "api_service"), ("worker", "worker_service")])
def test_image_runs_an_entry_point(target: str, package: str) -> None:
    assert f'CMD ["python", "-m", "{package}"]' in stage(target)
    assert callable(importlib.import_module(f"{package}.__main__").main)
    assert "command" not in SERVICES[target]


def test_bootstrap_runs_commands_of_ours() -> None:
    shell, flag, line = SERVICES["bootstrap"]["command"]
    assert (shell, flag) == ("sh", "-c")
    for command in line.split(" && "):
        program, *words = command.split()
        found = typer.main.get_command(app)
        for word in words:
            found = found.commands[word]  # type: ignore[attr-defined]
        assert program == "docrelay"


@pytest.mark.parametrize("service", OURS)
def test_image_is_a_stage_of_the_dockerfile(service: str) -> None:
    build = SERVICES[service]["build"]
    assert build["dockerfile"] == "infra/Dockerfile"
    assert stage(build["target"])


def test_every_lock_that_is_copied_exists() -> None:
    copied = re.findall(r"^COPY (locks/\S+)", DOCKERFILE, re.MULTILINE)
    assert copied
    assert all((ROOT / path).exists() for path in copied)


def test_api_and_worker_wait_for_bootstrap_and_it_for_healthy_backends() -> None:
    assert all(
        SERVICES[service]["depends_on"] == {"bootstrap": {"condition": "service_completed_successfully"}}
        for service in ("api", "worker")
    )
    assert SERVICES["bootstrap"]["depends_on"] == {
        "aws": {"condition": "service_healthy"},
        "postgres": {"condition": "service_healthy"},
    }


def test_every_port_is_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_worker_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


def test_stop_time_out_is_longer_than_what_a_service_gives_running_work() -> None:
    shutdown = re.search(r"^#DOCRELAY_SHUTDOWN_SECONDS=(\d+)", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert shutdown
    for service, seconds in (("worker", int(shutdown[1])), ("api", STOP_SECONDS)):
        assert int(SERVICES[service]["stop_grace_period"].removesuffix("s")) > seconds


def test_database_is_healthy_when_it_answers_by_network() -> None:
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


def test_images_run_without_rights() -> None:
    assert "USER 10001" in stage("runtime")
    assert all(SERVICES[service]["cap_drop"] == ["ALL"] for service in OURS)
