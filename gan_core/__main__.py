"""``gan``: check the declaration, sum up and compare runs; serve, draw from, verify and deploy exports.

Each command imports what it needs: to draw takes NumPy, ONNX Runtime and Pillow, and nothing that trains.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import time
from pathlib import Path

from gan_core.runtime import errors

DVC_LOCK = Path(".dvc/tmp/rwlock")


def check(arguments: argparse.Namespace) -> None:
    """Say everything that is wrong with params.yaml, which images are missing, and what is left of earlier runs.

    Raises:
        DataError: images are not where they are declared to be.
        EnvironmentFailure: DVC's lock is cut short; it would not say what to do.
    """
    from gan_core.config import places
    from gan_core.config.load import load_params

    try:
        json.loads(DVC_LOCK.read_text() if DVC_LOCK.exists() else "{}")
    except ValueError:
        raise errors.EnvironmentFailure(
            f"{DVC_LOCK} is cut short: DVC was killed while it wrote it; if no other dvc runs here, remove it"
        ) from None
    params, root = load_params(arguments.params), arguments.params.parent
    if gone := [*places.missing(params.images, root), *places.parents_missing(params.runs, root)]:
        raise errors.DataError("\n".join(gone))
    datasets = [*params.datasets, *params.images]
    print(f"{arguments.params}: {len(params.runs)} runs, {len(datasets)} data sets, no mistakes")
    if left := places.left_over(root, params.runs, datasets):
        print(places.said_of(left))


def doctor(arguments: argparse.Namespace) -> None:
    """Versions, processors, memory, disk, GPU and server of this machine, to paste; lines with ! need attention."""
    from gan_core.config.load import load_params
    from gan_core.report import doctor

    try:
        params = load_params(arguments.params)
    except errors.FoundryError as error:
        params = None
        print(f"! {arguments.params} cannot be read; `gan check` says why ({str(error).splitlines()[0]})")
    print("\n".join(doctor.lines(params, Path(".venv-triton"))))


def new(arguments: argparse.Namespace) -> None:
    """Look at pictures (a folder, an archive, arrays) and declare a data set and a first run, with reasons."""
    from gan_core.propose import append, tell

    path, params = Path(arguments.pictures), arguments.params
    name = arguments.name or tell.name_of(path)
    entries = tell.entries(path, name, params, arguments.preset)
    if arguments.print:
        print("\n".join(f"{section}:\n{lines}" for section, (_, lines) in entries.items()), end="")
        return
    text = append.written(params, entries)
    from gan_core.runtime import files

    files.write(params, text.encode())
    print(f"wrote images.{name} and runs.{name} into {params}; look at the reasons beside the values. Then:")
    for command in (*tell.tracking(path), f"gan forecast {name}", f"dvc repro export@{name}"):
        print(f"  {command}")


def forecast(arguments: argparse.Namespace) -> None:
    """Say what a run will take, from its own stages run on less: time, memory and disk. Nothing of it stays."""
    import tempfile

    from gan_core.config.checker import Checker
    from gan_core.config.load import find, load_params
    from gan_core.forecast import extrapolate, measure

    params, run = load_params(arguments.params), arguments.run
    dataset, model = find(params.runs, run, "run").dataset, Path("models") / run
    places = measure.Places(
        Path("data/prepared") / dataset,
        Path("data/extractors") / f"{dataset}.safetensors",
        model,
        model / "last",
        Path("players") / run,
        Path("reports") / run,
        Path("exported") / run,
        Path(".state"),
    )

    def say(what: str) -> None:
        print(f"{run}: {what}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="forecast-") as folder:
        tree = Checker(arguments.params).parse()
        found = measure.measure(params, tree, run, places, Path(folder), say)
    print(extrapolate.table(found, params, run))


def summary(arguments: argparse.Namespace) -> None:
    """A short table of every declared run."""
    from gan_core.config.load import load_params
    from gan_core.report import facts, words

    declared = load_params(arguments.params).runs
    made, others = facts.read_made({n: (Path("reports") / n, Path("exported") / n) for n in declared})
    print(words.summary(made, others, Path("report.html").resolve()))


def pages(arguments: argparse.Namespace) -> None:
    """Write docs/variants: a page on every paper, from its file and the figures of its runs."""
    from gan_core.config.load import load_params
    from gan_core.report import pages

    written = pages.write(load_params(arguments.params), Path("docs"), Path("reports"))
    print(f"wrote {len(written)} pages: {', '.join(map(str, written))}")


def compare(arguments: argparse.Namespace) -> None:
    """Mean and deviation over runs that differ in their seed alone, as a table."""
    from gan_core.config.load import load_params
    from gan_core.report import compare

    found = list(compare.groups(load_params(arguments.params).runs, Path("reports")))
    if not found:
        raise errors.DataError("reports/ holds no figures of a declared run; run `dvc repro` first")
    print(compare.table(found, arguments.figures))


def serve(arguments: argparse.Namespace) -> None:
    """Run a real Triton server on exported folders until interrupted."""
    from gan_core.serving.backends.base import Ports
    from gan_core.serving.backends.triton.backend import Triton

    ports = Ports(arguments.http_port, arguments.grpc_port, arguments.metrics_port)
    folders = arguments.folder or exported(arguments.params)
    repositories = [folder / "model_repository" for folder in folders]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Triton().launch(arguments.triton, repositories, ports) as process:
        names = sorted(p.parent.name for repository in repositories for p in repository.glob("*/config.pbtxt"))
        print(f"serving {', '.join(names)}", flush=True)
        print(
            f"HTTP 127.0.0.1:{ports.http}, gRPC 127.0.0.1:{ports.grpc}, metrics 127.0.0.1:{ports.metrics}; Ctrl-C stops"
        )
        print(f"how to call it: {folders[0] / 'README.md'}", flush=True)
        while process.poll() is None:
            time.sleep(0.2)
    raise errors.EnvironmentFailure("the server ended by itself; start it again")


def demo(arguments: argparse.Namespace) -> None:
    """Play with exported generators on a page in the browser, which computes; --out writes it for any web host."""
    import tempfile
    import webbrowser

    from gan_core.serving import demo
    from gan_core.serving.demo import local

    folders, out = arguments.folder or exported(arguments.params), arguments.out
    if out is not None:
        size = demo.write(folders, out)
        print(f"wrote {out}: {size / 1e6:,.1f} MB of static files; `python -m http.server --directory {out}` shows it")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="gan-demo-") as folder:
        demo.write(folders, Path(folder) / "site")
        with local.server(Path(folder) / "site", arguments.port) as server:
            url = f"http://{local.HOST}:{server.server_port}/"
            print(f"{url} shows {', '.join(str(folder) for folder in folders)}; Ctrl-C stops", flush=True)
            if not arguments.no_browser:
                webbrowser.open(url)
            server.serve_forever()


def deploy(arguments: argparse.Namespace) -> None:
    """Write a compose file and KServe InferenceServices for exported folders."""
    from gan_core.serving import deploy
    from gan_core.serving.backends.triton.backend import Triton

    folders = arguments.folder or exported(arguments.params)
    written = deploy.write(folders, arguments.out, Triton(), arguments.triton_version, arguments.store, arguments.on)
    print(f"wrote {', '.join(map(str, written))}")


def exported(params: Path) -> list[Path]:
    """The finished exports of the declared runs; of all there are, where no declaration is. Says what it leaves out.

    Raises:
        DataError: there is none.
        InputError: the declaration is no YAML.
    """
    from gan_core.config import places

    folders = sorted(p.parent for p in Path("exported").glob("[!.]*/manifest.json"))
    declared = places.declared_runs(params) if params.is_file() else [folder.name for folder in folders]
    if left := [folder for folder in folders if folder.name not in declared]:
        print(f"left out: {places.said_of(left)}; or name the folders to use", file=sys.stderr)
    if len(left) == len(folders):
        raise errors.DataError("exported/ holds no finished export of a declared run; run `make repro` first")
    return [folder for folder in folders if folder not in left]


def sample(arguments: argparse.Namespace) -> None:
    """Draw from an exported folder: image k is that of seed + k, here, on a server, in any batch."""
    import numpy as np

    from gan_core.report import pictures
    from gan_core.runtime import files
    from gan_core.serving import client

    folder, out = arguments.folder, arguments.out
    if out.suffix not in (".png", ".npy"):
        raise errors.InputError(f"--out {out} ends in neither .png (a picture) nor .npy (the numbers)")
    generator = (
        client.Generator.connect(arguments.server, folder, arguments.role)
        if arguments.server
        else client.Generator.open(folder, arguments.role, arguments.file, arguments.on)
    )
    seeds = range(arguments.seed, arguments.seed + arguments.n)
    given = {"central_mass": arguments.central_mass, **generator.read(dict(map(assignment, arguments.given)))}
    drawn = generator.draw(seeds, **generator.labels(len(seeds), given))
    if out.suffix == ".npy":
        np.save(buffer := io.BytesIO(), drawn)
        files.write(out, buffer.getvalue())
    else:
        files.write(out, pictures.picture(drawn))
    less = out.suffix == ".png" and drawn.dtype == np.uint16 and not pictures.keeps_16_bits(drawn)
    said = "; a PNG has 16 bits of grey alone, so they are in 8: .npy has all" if less else ""
    where = "" if generator.on in ("cpu", "server") else f" on {generator.on}"
    print(f"wrote {out}: {len(drawn)} samples of {folder}{where}, seeds {seeds[0]} to {seeds[-1]}{said}")


def translate(arguments: argparse.Namespace) -> None:
    """Translate pictures: a folder (or one picture) through an exported network, each under its own name."""
    from gan_core.serving import translate

    able = translate.translator(arguments.folder, arguments.role, arguments.on, arguments.server)
    if not arguments.pictures.exists():
        raise errors.InputError(f"{arguments.pictures} is not there; give a folder of pictures, or one picture")
    counts, bad = translate.translate(able, arguments.pictures, arguments.out, arguments.at_most)
    size = "" if able.multiple else f", each brought to {able.sides[1]}x{able.sides[0]} pixels"
    there = f"; {counts['there']:,} were there already" if counts["there"] else ""
    print(f"wrote {counts['written']:,} pictures into {arguments.out}{size}{there}")
    if bad:
        raise errors.DataError("\n".join(bad))


def assignment(text: str) -> tuple[str, str]:
    """A ``name=value`` of the command line.

    Raises:
        InputError: it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise errors.InputError(f"--given {text} is not of the form NAME=VALUE or NAME=VALUE,VALUE,...")
    return name, value


def verify(arguments: argparse.Namespace) -> None:
    """Check exported folders against themselves, and a real server on them; says what fails, and why."""
    from gan_core.serving import verify
    from gan_core.serving.backends.triton.backend import Triton

    rows = verify.verify(arguments.folder or exported(arguments.params), Triton(), arguments.triton, arguments.on)
    print(verify.table(rows))
    if failed := [row for row in rows if row.passed is False]:
        raise errors.DataError(f"{len(failed)} of {len(rows)} checks failed; the table above says which")


def deps(_arguments: argparse.Namespace) -> None:
    """Write into dvc.yaml which files each stage runs, as their imports say."""
    from gan_core.runtime import closure, files

    path = Path("dvc.yaml")
    files.write(path, closure.with_lists(path.read_text()).encode())
    print(f"wrote {path}")


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="gan", description=__doc__)
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="the declaration (default: params.yaml)"
    )
    commands = parser.add_subparsers(required=True)
    for function in (
        check,
        doctor,
        new,
        forecast,
        summary,
        compare,
        pages,
        serve,
        sample,
        demo,
        translate,
        verify,
        deploy,
        deps,
    ):
        about = (function.__doc__ or "").partition("\n\n")[0]
        command = commands.add_parser(function.__name__, help=about, description=about)
        command.set_defaults(function=function)
        if function is new:
            command.add_argument("pictures", help="a folder, an archive, or files of arrays")
            command.add_argument("--name", help="of both entries (default: that of the folder)")
            command.add_argument("--print", action="store_true", help="print the entries and write nothing")
            command.add_argument("--preset", help="R3GAN of this size: tiny (a CPU), small (a GPU), paper (eight GPUs)")
        if function is forecast:
            command.add_argument("run", help="a run that params.yaml declares")
        if function is compare:
            command.add_argument("figures", nargs="*", help="names from metrics.json (default: the usual ones)")
        if function in (serve, demo, verify, deploy):
            command.add_argument(
                "folder", type=Path, nargs="*", help="exported folders (default: those of the declared runs)"
            )
        if function is demo:
            command.add_argument("--out", type=Path, help="write the page there, as static files, and show nothing")
            command.add_argument("--port", type=int, default=8010, help="of 127.0.0.1 (default %(default)s; 0: any)")
            command.add_argument("--no-browser", action="store_true", help="open none; the address is printed")
        if function is deploy:
            command.add_argument("--out", type=Path, default=Path("deploy"), help="default: deploy/")
            command.add_argument(
                "--triton-version", default="25.07-py3", help="of NVIDIA's image (default: %(default)s)"
            )
            command.add_argument(
                "--on", default="cuda", help="where servers compute: cuda, tensorrt or cpu (default: %(default)s)"
            )
            command.add_argument(
                "--store", default="s3://models/exported", help="where a cluster finds exported/ (default: %(default)s)"
            )
        if function in (serve, verify):
            command.add_argument("--triton", type=Path, default=Path(".venv-triton"), help="the server's environment")
        if function in (sample, translate, verify):
            where = "cpu, cuda, tensorrt, tensorrt_rtx, or auto, the last of these that is there (default: cpu)"
            command.add_argument("--on", default="cpu", metavar="WHERE", help=f"where graphs are computed: {where}")
        if function is serve:
            for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
                command.add_argument(f"--{name}-port", type=int, default=port, help=f"default {port}")
        if function is sample:
            sampling(command)
        if function is translate:
            command.add_argument("folder", type=Path, help="an exported folder")
            command.add_argument("pictures", type=Path, help="a folder of pictures, or one picture")
            command.add_argument("out", type=Path, help="the folder to write into; what is there already stays")
            command.add_argument("--role", help="which, if several translate")
            command.add_argument("--server", metavar="URL", help="ask this server: http://localhost:8000")
            command.add_argument(
                "--at-most", type=natural, metavar="PIXELS", help="of the longer side: larger pictures are shrunk"
            )
    arguments = parser.parse_args()
    arguments.function(arguments)


def sampling(command: argparse.ArgumentParser) -> None:
    """What ``sample`` takes."""
    command.add_argument("folder", type=Path, help="an exported folder")
    command.add_argument("--seed", type=int, default=0, help="of the first sample (default 0); the next has the next")
    command.add_argument("--n", type=natural, default=64, help="how many (default 64)")
    command.add_argument("--out", type=Path, default=Path("samples.png"), help=".png, or .npy for the numbers")
    command.add_argument("--central-mass", type=float, help="central share of the normal to draw from, up to 1")
    command.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a label or code that is not drawn: y=3, y=cat, y=0,1,2 (in turn), code=0.5,-1 (labels not given: all in "
        "turn)",
    )
    command.add_argument("--role", help="which, if several draw")
    command.add_argument("--file", help="another graph than the one with pixels out")
    command.add_argument("--server", metavar="URL", help="ask this server: http://localhost:8000")


def natural(text: str) -> int:
    """A number of samples."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def cli() -> None:
    """The console command."""
    errors.run(main)


if __name__ == "__main__":
    cli()
