"""The container files: no engine runs in the tests, so what can be read from them is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.console.settings_classes import every_class

DOCKER = Path(__file__).parents[2] / "docker"
OF_THE_CONTAINERS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"}


def compose(name: str = "compose.yml") -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text())
    return parsed


def variables(service: dict[str, Any]) -> dict[str, str]:
    given: dict[str, str] = service.get("environment", {})
    return given


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_is_built_in_stages_and_does_not_run_as_root() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert len(stages) == 2
    assert users[-1:] == ["10001:10001"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_the_image_copies_only_files_that_exist() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _target = line.split()
        assert [s for s in sources if not (DOCKER.parent / s).exists()] == []
    assert (DOCKER / "entrypoint.sh").exists()


def test_the_entry_point_is_valid_shell_and_knows_every_process_of_the_compose_file() -> None:
    script = DOCKER / "entrypoint.sh"
    assert subprocess.run(["sh", "-n", script]).returncode == 0
    commands = {s["command"][0] for s in compose()["services"].values() if s.get("image") == "trefoil"}
    assert commands == {"web", "worker", "beat", "migrate"}
    for command in commands:
        assert f"\n{command})\n" in script.read_text()


def test_every_service_has_an_image_and_says_how_its_health_is_known() -> None:
    services = compose()["services"]
    assert set(services) == {"migrate", "web", "worker", "beat", "redis", "postgres"}
    for name, service in services.items():
        assert service.get("image"), name
        # the web process is checked by the image's own HEALTHCHECK
        assert "healthcheck" in service or name == "web", name


def test_every_dependency_volume_and_secret_that_is_used_is_there() -> None:
    parsed = compose()
    for name, service in parsed["services"].items():
        assert set(service.get("depends_on", {})) <= set(parsed["services"]), name
        for secret in service.get("secrets", []):
            assert secret in parsed["secrets"], name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in parsed["volumes"], name


def test_a_dependency_that_must_be_healthy_has_a_health_check() -> None:
    services = compose()["services"]
    waited_for = {
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited_for == {"postgres", "redis"}
    for name in waited_for:
        assert services[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["migrate", "web", "worker", "beat"])
def test_every_variable_of_a_process_is_a_setting(name: str) -> None:
    known = {field.upper() for cls in every_class() for field in cls.model_fields}
    for variable in set(variables(compose()["services"][name])) - OF_THE_CONTAINERS:
        assert variable in known or variable.removesuffix("_FILE") in known, variable


def test_secrets_reach_the_processes_as_files_only() -> None:
    for name, service in compose()["services"].items():
        for variable, value in variables(service).items():
            if re.search("SECRET|PASSWORD", variable):
                assert variable.endswith("_FILE"), (name, variable)
            assert "://" not in str(value) or "@" not in str(value) or ":" not in _user(str(value)), variable


def test_the_inference_file_adds_one_server_that_the_others_ask() -> None:
    services = compose("compose.inference.yml")["services"]
    script = (DOCKER / "entrypoint.sh").read_text()
    server = services.pop("inference")
    assert f"\n{server['command'][0]})\n" in script
    assert server["healthcheck"]["test"]
    known = {field.upper() for cls in every_class() for field in cls.model_fields}
    for service in (server, *services.values()):
        for variable in variables(service):
            assert variable in known or variable.removesuffix("_FILE") in known, variable
        assert "inference_api_key" in service["secrets"]
    assert set(services) == {"web", "worker"} <= set(compose()["services"])
    assert all("http://inference:8100" in variables(s)["INFERENCE_URL"] for s in services.values())


def test_the_gpu_file_changes_only_services_that_exist() -> None:
    for name, service in compose("compose.gpu.yml")["services"].items():
        assert name in compose()["services"]
        assert service["build"]["args"] == {"TORCH": "cuda"}
    assert "ARG TORCH=cpu" in (DOCKER / "Dockerfile").read_text()


def _user(url: str) -> str:
    return url.split("://", 1)[1].split("@", 1)[0]
