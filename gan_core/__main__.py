"""``gan``: check the declaration, sum up and compare runs; serve, draw from, verify and deploy exports.

Each command imports what it needs: to draw takes NumPy, ONNX Runtime and Pillow, and nothing that trains.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.runtime import errors

if TYPE_CHECKING:
    from gan_core.serving.backends.base import Backend


def check(arguments: argparse.Namespace) -> None:
    """Say all that is wrong with params.yaml, which pictures are missing, and what is left of earlier runs.

    Raises:
        FoundryError: there are mistakes, or something is missing.
    """
    from gan_core.config import places
    from gan_core.config.check import check

    found = check(arguments.params)
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
        raise SystemExit(found.failure.exit_code if found.failure else 0)
    if found.failure:
        raise found.failure
    there = f"{counted(found.runs or 0, 'run')}, {counted(found.datasets or 0, 'data set')}"
    print(f"{arguments.params}: {there}, no mistakes")
    if found.left_over:
        print(places.said_of(found.left_over))


def counted(count: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def schema(arguments: argparse.Namespace) -> None:
    """Print the JSON schema of params.yaml, by which editors complete keys and show what they mean."""
    from gan_core.config import json_schema
    from gan_core.report import reference

    print(reference.page() if arguments.page else f"{json.dumps(json_schema.build(), indent=1)}\n", end="")


def doctor(arguments: argparse.Namespace) -> None:
    """Print versions, cores, load, memory, disk, GPU, server and DVC remotes, to paste; lines with ! need attention."""
    from gan_core.config.load import load_params
    from gan_core.report import doctor

    try:
        params = load_params(arguments.params)
    except errors.FoundryError as error:
        params = None
        print(f"! {arguments.params} cannot be read; `gan check` says why ({str(error).splitlines()[0]})")
    print("\n".join(doctor.lines(params, Path(".venv-triton"))))


def new(arguments: argparse.Namespace) -> None:
    """Look at pictures, and write a data set and a first run into params.yaml, each value with its reason."""
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
    """Say what time, memory and disk a run will take, by running its stages on less; nothing of it is kept."""
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
    """Print a table of the declared runs: figures, verdict, artefacts."""
    from gan_core.config.load import load_params
    from gan_core.report import facts, words

    declared = load_params(arguments.params).runs
    made, others = facts.read_made({n: (Path("reports") / n, Path("exported") / n) for n in declared})
    print(words.summary(made, others, Path("report.html").resolve()))


def pages(arguments: argparse.Namespace) -> None:
    """Write docs/variants, a page on every paper, from its file and the figures of its runs."""
    from gan_core.config.load import load_params
    from gan_core.report import pages

    written = pages.write(load_params(arguments.params), Path("docs"), Path("reports"))
    print(f"wrote {len(written)} pages: {', '.join(map(str, written))}")


def compare(arguments: argparse.Namespace) -> None:
    """Print mean and deviation over runs that differ in their seed alone."""
    from gan_core.config.load import load_params
    from gan_core.report import compare

    found = list(compare.groups(load_params(arguments.params).runs, Path("reports")))
    if not found:
        raise errors.DataError("reports/ holds no figures of a declared run; run `dvc repro` first")
    print(compare.table(found, arguments.figures))


def clean(arguments: argparse.Namespace) -> None:
    """List what runs and data sets have left that are declared no more; --yes removes it."""
    from gan_core.config import clean
    from gan_core.config.load import load_params

    found = clean.find(Path(), load_params(of_dvc(arguments.params)))
    if not found.left and not found.stages:
        print("nothing is left of runs and data sets that are declared no more")
        return
    stages = [f"dvc.lock: {counted(len(found.stages), 'stage')}"] if found.stages else []
    lines = [f"  {line}" for line in (*(left.said(Path()) for left in found.left), *stages)]
    if arguments.yes:
        clean.remove(found)
    print("\n".join(["removed:" if arguments.yes else "declared no more, but still there:", *lines]))
    if not arguments.yes:
        print("`gan clean --yes` removes it; DVC's cache keeps what it has until `dvc gc`, of .state there is no copy")


def rename(arguments: argparse.Namespace) -> None:
    """Give a run another name, and keep its training: `dvc repro` only measures and ships it again."""
    from gan_core.propose import rename

    old, new = arguments.old, arguments.new
    kept = rename.rename(of_dvc(arguments.params), old, new)
    came = (
        "its training came along"
        if kept
        else "it was not trained, or something of it has changed since (`dvc status` says what), so it will be trained"
    )
    print(f"'{old}' is '{new}' in params.yaml; {came}. Then:")
    for command in (f"dvc repro export@{new}", "gan clean"):
        print(f"  {command}")


def of_dvc(params: Path) -> Path:
    """The declaration, which must be the one that DVC reads.

    Raises:
        InputError: it is another one.
    """
    if params != Path("params.yaml"):
        raise errors.InputError(f"--params {params}: DVC made what is here by params.yaml, so it must be that one")
    return params


def tensorboard(arguments: argparse.Namespace) -> None:
    """Write curves and samples of runs as event files for TensorBoard; --follow goes on while they are trained."""
    from gan_core.config.load import find, load_params
    from gan_core.report import events

    declared, out = load_params(arguments.params).runs, arguments.out
    names = [name for name in arguments.run or declared if find(declared, name, "run")]
    while True:
        found = {n: events.recorded(Path("reports") / n, Path("models") / n, Path(".state") / n) for n in names}
        new = {n: events.write(recorded, out / n) for n, recorded in found.items() if recorded}
        if not new and not arguments.follow:
            raise errors.DataError(f"nothing is recorded yet of {', '.join(names)}; `dvc repro` trains")
        if any(new.values()) or not arguments.follow:
            said = ", ".join(f"{name} {count:,}" for name, count in new.items())
            print(f"new points in {out}: {said}; `tensorboard --logdir {out}` shows them", flush=True)
        if not arguments.follow:
            return
        time.sleep(FOLLOWED)


FOLLOWED = 5.0
"""Seconds between two looks at what a training has saved."""


def serve(arguments: argparse.Namespace) -> None:
    """Run a server on exported folders, until Ctrl-C."""
    from gan_core.export.manifest import endpoints_of, manifest_of
    from gan_core.serving.backends.base import Ports

    ports, backend = Ports(arguments.http_port, arguments.grpc_port, arguments.metrics_port), backend_of(arguments)
    folders = arguments.folder or exported(arguments.params)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with backend.launch(folders, ports) as process:
        names = sorted(endpoint.name for folder in folders for endpoint in endpoints_of(manifest_of(folder)))
        print(f"serving {', '.join(names)}", flush=True)
        listens = ", ".join(f"{what} 127.0.0.1:{port}" for what, port in backend.listens(ports).items())
        print(f"{listens}; Ctrl-C stops")
        print(f"how to call it: {folders[0] / 'README.md'}", flush=True)
        while process.poll() is None:
            time.sleep(0.2)
    raise errors.EnvironmentFailure("the server ended by itself; start it again")


def backend_of(arguments: argparse.Namespace) -> Backend:
    """The kind of server that is meant."""
    if arguments.server == "triton":
        from gan_core.serving.backends.triton.backend import Triton

        return Triton(arguments.triton)
    from gan_core.serving.backends.onnxruntime.backend import OnnxRuntime

    return OnnxRuntime()


def demo(arguments: argparse.Namespace) -> None:
    """Open a page in the browser to play with exported generators; --out writes it as files for any web host."""
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
    """Draw samples from an exported folder, here or on a server; a seed is always the same sample."""
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
    """Translate a folder of pictures, or one picture, with an exported network; each keeps its name."""
    from gan_core.serving import translate

    if not arguments.pictures.exists():
        raise errors.InputError(f"{arguments.pictures} is not there; give a folder of pictures, or one picture")
    able = translate.translator(arguments.folder, arguments.role, arguments.on, arguments.server, arguments.tiles)
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
    """Check that exported folders are what they say, and that a real server draws the same; say what fails."""
    from gan_core.serving import verify

    rows = verify.verify(arguments.folder or exported(arguments.params), backend_of(arguments), arguments.on)
    print(verify.table(rows))
    if failed := [row for row in rows if row.passed is False]:
        raise errors.DataError(f"{len(failed)} of {len(rows)} checks failed; the table above says which")


def cluster(arguments: argparse.Namespace) -> None:
    """Make runs on a Ray cluster, several at once, and bring them home; show where they are; write files for others."""
    arguments.action(arguments)


def cluster_run(arguments: argparse.Namespace) -> None:
    """Train, measure and export runs on a Ray cluster; lost nodes are replaced, and all comes into this project."""
    from gan_core.cluster import on_ray, run
    from gan_core.cluster.resources import Resources
    from gan_core.config.load import load_params
    from gan_core.propose import seeds

    params = load_params(of_dvc(arguments.params))
    names = list(dict.fromkeys(arguments.run)) or list(params.runs)
    on_ray.installed()
    if arguments.seeds:
        names, new = seeds.declare(arguments.params, names, arguments.seeds)
        params = load_params(arguments.params)
        if new:
            print(f"declared in {arguments.params}: {', '.join(new)}", file=sys.stderr)
    wanted = Resources(arguments.processes, arguments.cpus, arguments.gpus)
    run.run(params, names, arguments.work, arguments.address, arguments.nodes, wanted)


def cluster_status(arguments: argparse.Namespace) -> None:
    """Show where the jobs of `gan cluster run` are, a line each."""
    from gan_core.cluster import status

    if not (lines := status.table(arguments.work)):
        raise errors.DataError(
            f"{arguments.work} holds no jobs; `gan cluster run` starts some, --work names its folder"
        )
    print("\n".join(lines))


def cluster_write(arguments: argparse.Namespace) -> None:
    """Write files by which Slurm, SkyPilot or Kubeflow make runs; `gan cluster fetch` brings them home."""
    from gan_core.cluster import run
    from gan_core.cluster.resources import Resources
    from gan_core.cluster.schedulers import Place
    from gan_core.config.load import load_params

    params = load_params(of_dvc(arguments.params))
    names, wanted = arguments.run or list(params.runs), Resources(1, arguments.cpus, arguments.gpus)
    place = Place(Path(sys.prefix), arguments.image, arguments.volume)
    written = run.write(params, names, arguments.work, arguments.scheduler, arguments.out, wanted, place)
    print(f"wrote {', '.join(map(str, written))}; the work folder is {arguments.work.resolve()}")


def cluster_fetch(arguments: argparse.Namespace) -> None:
    """Bring home what another scheduler has finished."""
    from gan_core.cluster import run
    from gan_core.config.load import load_params

    params = load_params(of_dvc(arguments.params))
    done = run.fetch(params, arguments.run or list(params.runs), arguments.work)
    print(f"came home: {', '.join(done) or 'none, as none is finished'}")


def deps(_arguments: argparse.Namespace) -> None:
    """Write into dvc.yaml which files each stage runs, as their imports say."""
    from gan_core.runtime import closure, files

    path = Path("dvc.yaml")
    files.write(path, closure.with_lists(path.read_text()).encode())
    print(f"wrote {path}")


def completion(arguments: argparse.Namespace) -> None:
    """Print a script by which a shell completes commands and options: eval "$(gan completion bash)"."""
    import shtab

    made = parser()
    for action in arguments_of(made):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(made, arguments.shell))


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of its commands."""
    for action in parser._actions:
        yield action
        for command in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            yield from arguments_of(command)


COMMANDS = (
    *(new, check, forecast, cluster, summary, compare, tensorboard, rename, clean),
    *(sample, translate, demo, serve, verify, deploy),
    *(doctor, schema, completion, pages, deps),
)


def epilog() -> str:
    """What exit codes mean."""
    meanings = {0: "Done.", 1: "A defect of this program: report it with its traceback.", 130: "Stopped by Ctrl-C."}
    meanings |= {kind.exit_code: (kind.__doc__ or "").strip() for kind in errors.FoundryError.__subclasses__()}
    width = shutil.get_terminal_size().columns - 2
    codes = [(f"  {code:<4} ", said) for code, said in sorted(meanings.items())]
    lines = [textwrap.fill(said, width, initial_indent=code, subsequent_indent=" " * len(code)) for code, said in codes]
    told = "A failure is one sentence: what is wrong, where, what to do. GAN_DEBUG=1 shows its traceback."
    return "\n".join(["exit codes:", *lines, "", textwrap.fill(told, width)])


def main() -> None:
    """Parse the command line and run the command."""
    arguments = parser().parse_args()
    arguments.function(arguments)


class ListOfCommands(argparse.RawDescriptionHelpFormatter):
    """Help that lists commands without a line that says no more than ``command``."""

    def _format_action(self, action: argparse.Action) -> str:
        said = super()._format_action(action)
        return said.partition("\n")[2] if isinstance(action, argparse._SubParsersAction) else said


def parser() -> argparse.ArgumentParser:
    """What the command line may hold."""
    about = "Declare a generator in params.yaml, train it with `dvc repro`, and draw from what it ships."
    made = argparse.ArgumentParser(
        prog="gan",
        description=textwrap.fill(about, shutil.get_terminal_size().columns - 2),
        epilog=epilog(),
        formatter_class=ListOfCommands,
    )
    declaration = "the declaration (default: params.yaml)"
    made.add_argument("--params", type=Path, metavar="FILE", default=Path("params.yaml"), help=declaration)
    commands = made.add_subparsers(title="commands", metavar="command", dest="command", required=True)
    for function in COMMANDS:
        about = (function.__doc__ or "").partition("\n\n")[0]
        command = commands.add_parser(function.__name__, help=about, description=about)
        if function not in (sample, translate, schema, completion, deps):  # it may stand before or behind the command
            command.add_argument("--params", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=declaration)
        command.set_defaults(function=function)
        if function is new:
            command.add_argument(
                "pictures", type=Path, help="a folder of pictures, an archive, a table, or a file of arrays"
            )
            command.add_argument("--name", help="name of both entries (default: that of the folder or file)")
            command.add_argument("--print", action="store_true", help="print the entries and write nothing")
            command.add_argument(
                "--preset",
                metavar="SIZE",
                help="declare R3GAN in this size: tiny (a CPU), small (a GPU), paper (eight GPUs)",
            )
        if function is check:
            command.add_argument(
                "--json", action="store_true", help="print JSON, for programs; the exit code is the same"
            )
        if function is schema:
            command.add_argument("--page", action="store_true", help="print docs/params.md, the same as a page to read")
        if function is completion:
            command.add_argument("shell", choices=("bash", "zsh"), help="the shell to complete in")
        if function is forecast:
            command.add_argument("run", help="a run that params.yaml declares")
        if function is cluster:
            clustering(command)
        if function is compare:
            command.add_argument(
                "figures", nargs="*", help="names of figures in metrics.json (default: the usual ones)"
            )
        if function is rename:
            command.add_argument("old", help="a run that params.yaml declares")
            command.add_argument("new", help="what it is to be called")
        if function is clean:
            command.add_argument("--yes", action="store_true", help="remove it; what no stage has made stays")
        if function is tensorboard:
            command.add_argument("run", nargs="*", help="runs that params.yaml declares (default: all)")
            command.add_argument(
                "--out", type=Path, metavar="FOLDER", default=Path("events"), help="where to write (default: events/)"
            )
            command.add_argument(
                "--follow", action="store_true", help="until Ctrl-C, write what training has saved meanwhile"
            )
        if function in (serve, demo, verify, deploy):
            command.add_argument(
                "folder", type=Path, nargs="*", help="exported folders (default: those of the declared runs)"
            )
        if function is demo:
            command.add_argument(
                "--out", type=Path, metavar="FOLDER", help="write the page there, as static files, and show nothing"
            )
            command.add_argument(
                "--port", type=int, default=8010, help="port on 127.0.0.1 (default: %(default)s; 0: a free one)"
            )
            command.add_argument("--no-browser", action="store_true", help="open no browser; the address is printed")
        if function is deploy:
            command.add_argument(
                "--out", type=Path, metavar="FOLDER", default=Path("deploy"), help="where to write (default: deploy/)"
            )
            command.add_argument(
                "--on",
                metavar="WHERE",
                default="cuda",
                help="where servers compute: cuda, tensorrt or cpu (default: %(default)s)",
            )
            command.add_argument(
                "--triton-version",
                metavar="TAG",
                default="25.07-py3",
                help="tag of NVIDIA's image (default: %(default)s)",
            )
            command.add_argument(
                "--store",
                metavar="URL",
                default="s3://models/exported",
                help="where a cluster finds exported/ (default: %(default)s)",
            )
        if function in (serve, verify):
            command.add_argument(
                "--server",
                default="triton",
                choices=("triton", "onnxruntime"),
                help="triton, or onnxruntime: graphs on the CPU behind HTTP, in this Python (default: %(default)s)",
            )
            command.add_argument(
                "--triton",
                type=Path,
                metavar="FOLDER",
                default=Path(".venv-triton"),
                help="Triton's environment (default: %(default)s)",
            )
        if function in (sample, translate, verify):
            where = "cpu, cuda, tensorrt, tensorrt_rtx, or auto, the last of these that is there (default: cpu)"
            command.add_argument("--on", default="cpu", metavar="WHERE", help=f"where graphs are computed: {where}")
        if function is serve:
            for name, port, said in (("http", 8000, "HTTP"), ("grpc", 8001, "gRPC"), ("metrics", 8002, "metrics")):
                command.add_argument(
                    f"--{name}-port",
                    type=int,
                    default=port,
                    metavar="PORT",
                    help=f"port of {said} (default: %(default)s)",
                )
        if function is sample:
            sampling(command)
        if function is translate:
            command.add_argument("folder", type=Path, help="an exported folder")
            command.add_argument("pictures", type=Path, help="a folder of pictures, or one picture")
            command.add_argument("out", type=Path, help="the folder to write into; what is there already stays")
            command.add_argument("--role", help="which network, where several translate: a_to_b, b_to_a")
            command.add_argument("--server", metavar="URL", help="ask this server: http://localhost:8000")
            command.add_argument(
                "--at-most",
                type=natural,
                metavar="PIXELS",
                help="length of the longer side to which larger pictures are shrunk",
            )
            command.add_argument(
                "--tiles",
                type=natural,
                metavar="PIXELS",
                help="side of the tiles in which pictures are translated (default: pictures of more than a megapixel "
                "in tiles of 512, where the network allows it)",
            )
    return made


def sampling(command: argparse.ArgumentParser) -> None:
    """What ``sample`` takes."""
    command.add_argument("folder", type=Path, help="an exported folder: exported/<run>")
    command.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the first sample; each further one has the next number (default: 0)",
    )
    command.add_argument("--n", type=natural, default=64, help="how many samples (default: 64)")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("samples.png"),
        metavar="FILE",
        help="a picture of all (.png), or their numbers (.npy) (default: %(default)s)",
    )
    command.add_argument(
        "--central-mass",
        type=float,
        metavar="SHARE",
        help="draw latents from this share of the normal distribution, around its middle (default: 1, all of it)",
    )
    command.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="set a label or code instead of drawing it: y=3, y=cat, code=0.5,-1; y=0,1,2: in turn. A label that is "
        "not given: all classes in turn",
    )
    command.add_argument("--role", help="which network draws, where the folder has several: decoder, a_to_b, ...")
    command.add_argument(
        "--file", metavar="NAME", help="another graph of the folder (default: the one that gives pixels, *.uint8.onnx)"
    )
    command.add_argument("--server", metavar="URL", help="draw on this server: http://localhost:8000")


def clustering(command: argparse.ArgumentParser) -> None:
    """What ``cluster`` takes: commands of its own."""
    command.formatter_class = ListOfCommands
    command.description = textwrap.fill(command.description or "", shutil.get_terminal_size().columns - 2)
    actions = command.add_subparsers(title="commands", metavar="command", dest="of_cluster", required=True)
    made = {}
    for function in (cluster_run, cluster_status, cluster_write, cluster_fetch):
        about = function.__doc__ or ""
        name = function.__name__.removeprefix("cluster_")
        made[name] = action = actions.add_parser(name, help=about, description=about)
        action.set_defaults(action=function)
        shared = "a folder that all nodes see (default: %(default)s)"
        action.add_argument("--work", type=Path, metavar="FOLDER", default=Path(".cluster"), help=shared)
    made["write"].add_argument("scheduler", choices=("slurm", "skypilot", "kubeflow"), help="for which scheduler")
    for name in ("run", "write", "fetch"):
        made[name].add_argument("run", nargs="*", help="runs that params.yaml declares (default: all)")
    for name in ("run", "write"):
        made[name].add_argument("--cpus", type=natural, default=1, metavar="N", help="CPUs of a process (default: 1)")
        made[name].add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of a process (default: 0)")
    made["run"].add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[],
        metavar="SEED",
        help="declare each run with these seeds too, and run them; `gan compare` gives mean and deviation",
    )
    made["run"].add_argument(
        "--address",
        default="local",
        help="auto, HOST:PORT or ray://HOST:PORT: a cluster that is there; local starts one here (default: local)",
    )
    made["run"].add_argument("--nodes", type=natural, default=1, metavar="N", help="nodes of a local one (default: 1)")
    made["run"].add_argument(
        "--processes", type=natural, default=1, metavar="N", help="processes that train one run (default: 1)"
    )
    written = "where to write (default: deploy/)"
    made["write"].add_argument("--out", type=Path, metavar="FOLDER", default=Path("deploy"), help=written)
    image = "container image with the project's environment (default: %(default)s)"
    made["write"].add_argument("--image", default="gan-foundry:latest", help=image)
    volume = "volume, or claim of one, that holds the work folder (default: %(default)s)"
    made["write"].add_argument("--volume", default="gan-foundry", help=volume)


def natural(text: str) -> int:
    """A whole number from 1 on."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def cli() -> None:
    """The console command."""
    errors.run(main)


if __name__ == "__main__":
    cli()
