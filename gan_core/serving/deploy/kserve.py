"""A KServe InferenceService: a run on a cluster."""

from __future__ import annotations

from typing import Any

from gan_core.serving.backends.base import Container
from gan_core.serving.deploy.deployed import Deployed


def inference_service(run: Deployed, container: Container, version: str, store: str) -> dict[str, Any]:
    """A run on a cluster: KServe fetches its model repository and runs as many servers as are asked for."""
    gpu = {"nvidia.com/gpu": "1"} if container.gpu else {}
    memory = {"medium": "Memory", "sizeLimit": f"{run.shared_memory}Mi"}
    env = [{"name": name, "value": value} for name, value in container.environment.items()]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": run.name,
            "labels": {"app.kubernetes.io/part-of": "gan-foundry"},
            "annotations": {f"gan-foundry/{role}-weights-sha256": digest for role, digest in run.weights.items()},
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 4,
                "securityContext": {"runAsNonRoot": True, "runAsUser": container.user, "fsGroup": container.user},
                "volumes": [{"name": "shared", "emptyDir": memory}],
                "model": {
                    **container.kserve,
                    "volumeMounts": [{"name": "shared", "mountPath": "/dev/shm"}],
                    "runtimeVersion": version,
                    "storageUri": f"{store.rstrip('/')}/{run.run}/model_repository",
                    "args": list(container.command[1:]),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    **({"env": env} if env else {}),
                    "resources": {
                        "requests": {"cpu": "1", "memory": "4Gi", **gpu},
                        "limits": {"cpu": "4", "memory": "8Gi", **gpu},
                    },
                    "startupProbe": probe(container.ready, 10, 30),
                    "readinessProbe": probe(container.ready, 5, 3),
                    "livenessProbe": probe(container.live, 10, 3),
                },
            }
        },
    }


def probe(path: str, seconds: int, times: int) -> dict[str, Any]:
    """Ask every so many seconds; so many failures in a row count."""
    return {"httpGet": {"path": path, "port": 8080}, "periodSeconds": seconds, "failureThreshold": times}
