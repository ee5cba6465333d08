"""``python -m gan_core``: check the declaration, sum up, compare and serve what was built, write its pages."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from gan_core import config, errors


def check(arguments: argparse.Namespace) -> None:
    """Say everything that is wrong with params.yaml."""
    params = config.load(arguments.params)
    print(f"{arguments.params}: {len(params.runs)} runs, {len(params.datasets)} data sets, no mistakes")


def summary(arguments: argparse.Namespace) -> None:
    """A short table of every declared run."""
    from gan_core.report import facts, words

    runs = [facts.Facts.read(n, Path("reports") / n, Path("exported") / n) for n in config.load(arguments.params).runs]
    print(words.summary(runs, Path("report.html").resolve()))


def pages(arguments: argparse.Namespace) -> None:
    """Write docs/variants: a page on every paper, from its file and the figures of its runs."""
    from gan_core import pages

    written = pages.write(config.load(arguments.params), Path("docs"), Path("reports"))
    print(f"wrote {len(written)} pages: {', '.join(map(str, written))}")


def compare(arguments: argparse.Namespace) -> None:
    """Mean and deviation over runs that differ in their seed alone, as a table."""
    from gan_core import compare

    found = list(compare.groups(config.load(arguments.params).runs, Path("reports")))
    if not found:
        raise errors.DataError("reports/ holds no figures of a declared run; run `dvc repro` first")
    print(compare.table(found, arguments.figures))


def serve(arguments: argparse.Namespace) -> None:
    """Run a real Triton server on exported folders until interrupted."""
    from gan_core.serving import server

    ports = server.Ports(arguments.http_port, arguments.grpc_port, arguments.metrics_port)
    folders = arguments.folder or sorted(p.parent for p in Path("exported").glob("[!.]*/manifest.json"))
    if not folders:
        raise errors.DataError("exported/ holds no finished export; run `make repro` first")
    repositories = [folder / "model_repository" for folder in folders]
    installation = server.Installation.find(arguments.triton)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with server.running(installation, repositories, ports) as process:
        print(f"serving {', '.join(server.models(repositories))}", flush=True)
        print(
            f"HTTP 127.0.0.1:{ports.http}, gRPC 127.0.0.1:{ports.grpc}, metrics 127.0.0.1:{ports.metrics}; Ctrl-C stops"
        )
        print(f"how to call it: {folders[0] / 'README.md'}", flush=True)
        while process.poll() is None:
            time.sleep(0.2)
    raise errors.EnvironmentFailure("the server ended by itself; start it again")


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m gan_core", description=__doc__)
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="the declaration (default: params.yaml)"
    )
    commands = parser.add_subparsers(required=True)
    for function in (check, summary, compare, pages, serve):
        command = commands.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        command.set_defaults(function=function)
        if function is compare:
            command.add_argument("figures", nargs="*", help="names from metrics.json (default: the usual ones)")
        if function is serve:
            command.add_argument("folder", type=Path, nargs="*", help="exported folders (default: all of exported/)")
            command.add_argument("--triton", type=Path, default=Path(".venv-triton"), help="the server's environment")
            for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
                command.add_argument(f"--{name}-port", type=int, default=port, help=f"default {port}")
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    errors.run(main)
