"""A remote and the registry, tried as two people would: one pushes and registers, the other clones and pulls.

``python -m tests.remote`` does it through a real S3 server (moto, in an environment of its own); the suite does it
through a folder, see test_remote.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_core.runtime import files
from tests.conftest import MORE, SMALL, Workspace, enlarging


def done(workspace: Workspace, *command: str) -> str:
    """What a command says, once it has succeeded."""
    ran = workspace.run(*command)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def connect(workspace: Workspace, url: str, settings: dict[str, str]) -> None:
    done(workspace, "dvc", "remote", "add", "--local", "--default", "store", url)
    for key, value in settings.items():
        done(workspace, "dvc", "remote", "modify", "--local", "store", key, value)


def push(workspace: Workspace, url: str, settings: dict[str, str]) -> None:
    """Commit what was built, and push it."""
    for key in ("user.name", "user.email"):
        workspace.git("config", key, "t@localhost")
    workspace.git("add", "-A")
    workspace.git("commit", "-qm", "built")
    connect(workspace, url, settings)
    done(workspace, "dvc", "push")


def clone(origin: Workspace, folder: Path, url: str, settings: dict[str, str]) -> Workspace:
    """Somebody else's copy: git's part from the origin, DVC's part from the remote, nothing from the origin's cache."""
    subprocess.run(["git", "clone", "-q", str(origin.folder), str(folder)], check=True)
    copy = Workspace.at(folder)
    connect(copy, url, settings)
    done(copy, "dvc", "pull")
    return copy


def content(folder: Path) -> dict[str, str]:
    """The digest of every file of a folder."""
    return {str(p.relative_to(folder)): files.file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@contextmanager
def s3(environment: Path, bucket: str) -> Iterator[str]:
    """The address of a running S3 server with an empty bucket."""
    from gan_core.serving.backends.base import Ports

    port = Ports.free().http
    process = subprocess.Popen(
        [environment / "bin" / "moto_server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moto", type=Path, default=Path(".venv-moto"))
    arguments = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t", "AWS_DEFAULT_REGION": "us-east-1"}
    with tempfile.TemporaryDirectory(prefix="remote-") as scratch, s3(arguments.moto, "models") as address:
        os.environ["AWS_ENDPOINT_URL"] = address
        origin = Workspace(Path(scratch) / "origin")
        one = {kind: {name: SMALL[kind][name]} for kind, name in (("datasets", "ring"), ("runs", "wgan_gp"))}
        origin.declare(one)
        done(origin, "dvc", "repro")
        url, settings = "s3://models/dvc", {"endpointurl": address}
        push(origin, url, settings)
        print(f"pushed {sum(p.is_file() for p in (origin.folder / '.dvc/cache').rglob('*'))} objects to {address}")
        copy = clone(origin, Path(scratch) / "clone", url, settings)
        assert content(copy.folder / "exported") == content(origin.folder / "exported")
        said = done(copy, "dvc", "status")
        assert "up to date" in said, said
        print(f"pulled {len(content(copy.folder / 'exported'))} exported files into a clone, byte for byte")
        print(said.strip())

        origin.declare({"datasets": {}, "runs": {}} | enlarging(origin.folder / "pictures", "s3://models/sets"))
        done(origin, "dvc", "repro")
        shutil.copytree(origin.folder, Path(scratch) / "other", ignore=shutil.ignore_patterns(".state", "models"))
        other = Workspace.at(Path(scratch) / "other")
        done(other, "dvc", "repro", "--force", f"train@{MORE}")
        assert content(other.folder / f"models/{MORE}") == content(origin.folder / f"models/{MORE}")
        kept = sum(p.stat().st_size for p in (origin.folder / "data/prepared/coarse").iterdir())
        fetched = sum(p.stat().st_size for p in (other.folder / ".state/.shards").iterdir())
        print(
            f"packed into s3://models/sets, {kept:,} bytes of it here; {fetched:,} fetched elsewhere: the same weights"
        )


if __name__ == "__main__":
    main()
