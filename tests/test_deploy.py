"""What deploy writes: against the schemas of those who read it, and on a real server's command line."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gan_core.runtime import files
from gan_core.runtime.errors import DataError, InputError
from gan_core.serving import deploy
from gan_core.serving.backends import local
from gan_core.serving.backends.base import Ports
from gan_core.serving.backends.triton import server
from gan_core.serving.backends.triton.backend import VERSION, Triton
from gan_core.serving.deploy.deployed import Deployed
from tests.conftest import ROOT, Workspace

RUNS = ("gan", "wgan_gp", "cycle_gan")
TRITON = ROOT / ".venv-triton"


@pytest.fixture(scope="module")
def project(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was exported, to write and to serve in."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(built.folder / "exported", folder / "exported")
    return folder


@pytest.fixture(scope="module")
def written(built: Workspace, project: Path) -> Path:
    command = ["gan", "deploy", *(f"exported/{run}" for run in RUNS), "--out", "out/deploy"]
    done = subprocess.run(command, cwd=project, env=built.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wrote out/deploy/compose.yaml, out/deploy/kserve/gan.yaml")
    return project / "out/deploy"


@pytest.fixture
def compose(written: Path) -> dict[str, Any]:
    return yaml.safe_load((written / "compose.yaml").read_text())


@pytest.fixture(params=["gan", "wgan-gp", "cycle-gan"])
def service(request: pytest.FixtureRequest, written: Path) -> dict[str, Any]:
    return yaml.safe_load((written / "kserve" / f"{request.param}.yaml").read_text())


def validated(value: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """By the Compose Specification's own schema."""
    (folder / "compose.yaml").write_text(yaml.safe_dump(value))
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", folder / "compose.yaml"]
    return subprocess.run([sys.executable, *command], capture_output=True, text=True)


def test_the_compose_file_keeps_to_the_specification(compose, tmp_path) -> None:
    assert validated(compose, tmp_path).returncode == 0, validated(compose, tmp_path).stdout
    compose["services"]["triton"]["heathcheck"] = {}
    assert validated(compose, tmp_path).returncode == 1, "the schema is one that can refuse"


def test_every_mount_is_a_repository_beside_the_file(compose, written) -> None:
    triton = compose["services"]["triton"]
    for run, mount in zip(RUNS, triton["volumes"], strict=True):
        assert (written / mount["source"] / f"{run}_{'a_to_b' if run == 'cycle_gan' else 'generator'}").is_dir()
        assert mount["read_only"]
        assert f"--model-repository={mount['target']}" in triton["command"]


def test_nobody_is_root_and_a_gpu_is_reserved(compose, service) -> None:
    triton = compose["services"]["triton"]
    assert int(triton["user"].split(":")[0]) > 0
    assert triton["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert not any("--model-config-name" in argument for argument in triton["command"]), "config.pbtxt is for GPUs"
    predictor = service["spec"]["predictor"]
    assert predictor["securityContext"]["runAsNonRoot"]
    assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize(("on", "gpu"), [("tensorrt", True), ("cpu", False)])
def test_a_server_computes_where_it_is_told(on: str, gpu: bool, project: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(project)
    deploy.write([Path("exported/gan")], Path(f"out/{on}"), Triton(), VERSION, "s3://m", on)
    compose = yaml.safe_load(Path(f"out/{on}/compose.yaml").read_text())
    triton = compose["services"]["triton"]
    service = yaml.safe_load(Path(f"out/{on}/kserve/gan.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert f"--model-config-name={on}" in triton["command"] and f"--model-config-name={on}" in model["args"]
    assert ("deploy" in triton, "nvidia.com/gpu" in model["resources"]["limits"]) == (gpu, gpu)
    assert (triton.get("environment") == {"NVIDIA_TF32_OVERRIDE": "0"}) == gpu
    assert validated(compose, tmp_path).returncode == 0
    kubernetes_validate.validate(pod(service), kubernetes_validate.latest_version(), strict=True)
    with pytest.raises(InputError, match="--on gpu is none of cuda, tensorrt, cpu"):
        deploy.write([Path("exported/gan")], tmp_path, Triton(), VERSION, "s3://m", "gpu")


OWN = {"modelFormat", "runtime", "runtimeVersion", "protocolVersion", "storageUri"}
"""Fields of KServe in what is otherwise a container; `make test-kserve` checks them by its own models."""


def pod(service: dict[str, Any]) -> dict[str, Any]:
    """The pod that KServe makes of a service, as far as the service determines it."""
    spec = copy.deepcopy(service["spec"]["predictor"])
    container = {"name": "kserve-container", **{k: v for k, v in spec.pop("model").items() if k not in OWN}}
    rest = {k: v for k, v in spec.items() if k not in ("minReplicas", "maxReplicas")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": service["metadata"],
        "spec": {"containers": [container], **rest},
    }


def test_kubernetes_takes_the_pod_of_a_service(service) -> None:
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(pod(service), version, strict=True)
    service["spec"]["predictor"]["model"]["livenessProbe"]["httpGet"]["prot"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod(service), version, strict=True)


def test_a_service_says_which_weights_it_serves(built, service) -> None:
    run = service["metadata"]["name"].replace("-", "_")
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"s3://models/exported/{run}/model_repository"
    for role, said in files.read_json(built.folder / f"exported/{run}/manifest.json")["roles"].items():
        weights = service["metadata"]["annotations"][f"gan-foundry/{role}-weights-sha256"]
        assert weights == said["provenance"]["weights_sha256"]


def test_the_same_folders_give_the_same_bytes(project, written, monkeypatch) -> None:
    monkeypatch.chdir(project)
    before = {p: p.read_bytes() for p in written.rglob("*.yaml")}
    assert len(before) == 1 + len(RUNS)
    deploy.write(
        [Path("exported") / run for run in RUNS], Path("out/deploy"), Triton(), VERSION, "s3://models/exported/"
    )
    assert {p: p.read_bytes() for p in written.rglob("*.yaml")} == before


def test_the_largest_batch_fits_in_a_request(built) -> None:
    """Written as JSON with every digit a float32 can ask for."""
    for run, numbers in (("gan", 64 * 16), ("cycle_gan", 64 * 192)):
        found = Deployed.read(built.folder / "exported" / run)
        assert found.largest_request >= numbers * len("-1.1754943508222875e-38, ")


def test_what_cannot_be_deployed_is_said(built, tmp_path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        deploy.write([tmp_path], tmp_path / "out", Triton(), VERSION, "s3://m")
    with pytest.raises(InputError, match="two folders are of a run 'gan'"):
        deploy.write([built.folder / "exported/gan"] * 2, tmp_path / "out", Triton(), VERSION, "s3://m")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def ready(compose, written, tmp_path) -> Iterator[bool]:
    """Whether the server here gets ready with the compose file's own command line, its mounts resolved.

    Three things are this machine's: no GPU, free ports, a backend folder. One flag is newer than this server.
    """
    triton, ports = compose["services"]["triton"], Ports.free()
    where = {m["target"]: str((written / m["source"]).resolve()) for m in triton["volumes"]}
    told = [a for a in triton["command"][1:] if not a.startswith("--http-max-input-size=")]
    told = [f"--model-repository={where[a.split('=')[1]]}" if "repository" in a else a for a in told]
    found = server.Installation.find(TRITON)
    here = [f"--http-port={ports.http}", f"--grpc-port={ports.grpc}", f"--metrics-port={ports.metrics}"]
    here += ["--model-config-name=cpu", f"--backend-directory={found.lay_out(tmp_path)}", "--http-address=127.0.0.1"]
    command = [str(found.server / "bin" / "tritonserver"), *told, *here]
    with local.running(command, found.environment(), ports.http, tmp_path / "server.log"):
        health = compose["services"]["triton"]["healthcheck"]["test"][1:]
        yield subprocess.run([a.replace("8000", str(ports.http)) for a in health]).returncode == 0


@pytest.mark.skipif(not TRITON.is_dir(), reason="the server's environment is absent: make .venv-triton")
def test_a_real_server_takes_the_command_line_and_the_health_check(ready: bool) -> None:
    assert ready
