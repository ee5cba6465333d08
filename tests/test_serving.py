"""Real servers on what the pipeline exported, unmodified: Triton, and ONNX Runtime in this Python, by the same laws."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from PIL import Image
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import as_pixels
from gan_core.core.tiles import filled
from gan_core.export.gate import onnx_runner
from gan_core.export.manifest import ModelEndpoint, endpoints_of, manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure
from gan_core.serving import client, deploy
from gan_core.serving.backends import local
from gan_core.serving.backends.base import Backend, NotInstalled, Ports
from gan_core.serving.backends.onnxruntime.backend import OnnxRuntime
from gan_core.serving.backends.triton import server
from gan_core.serving.backends.triton.backend import VERSION, Triton
from tests import storm
from tests.conftest import ROOT, SMALL, Workspace
from tests.test_pipeline import copy_of

RUNS = ("gan", "wgan_gp", "cgan", "cycle_gan", "vae_gan", "learned_f", "dcgan", "nhwc", "larger")
MODELS = [
    "cgan_generator",
    "cgan_generator_seeded",
    "cgan_generator_uint8",
    "cycle_gan_a_to_b",
    "cycle_gan_a_to_b_tiled",
    "cycle_gan_a_to_b_uint8",
    "cycle_gan_b_to_a",
    "cycle_gan_b_to_a_tiled",
    "cycle_gan_b_to_a_uint8",
    "dcgan_generator",
    "dcgan_generator_seeded",
    "dcgan_generator_uint8",
    "gan_generator",
    "gan_generator_seeded",
    "gan_generator_uint8",
    "larger_translator",
    "larger_translator_tiled",
    "larger_translator_uint8",
    "learned_f_generator",
    "learned_f_generator_seeded",
    "nhwc_translator",
    "nhwc_translator_uint8",
    "vae_gan_decoder",
    "vae_gan_decoder_seeded",
    "vae_gan_decoder_uint8",
    "vae_gan_encoder",
    "wgan_gp_generator",
    "wgan_gp_generator_seeded",
]
TRITON = ROOT / ".venv-triton"
needs_triton = pytest.mark.skipif(not TRITON.is_dir(), reason="Triton's environment is absent: make .venv-triton")


@pytest.fixture(scope="module", params=[pytest.param("triton", marks=needs_triton), "onnxruntime"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return storm.BACKENDS[request.param]


@pytest.fixture(scope="module")
def folders(built: Workspace) -> list[Path]:
    return [built.folder / "exported" / run for run in RUNS]


@pytest.fixture(scope="module")
def repositories(folders: list[Path]) -> list[Path]:
    return [folder / "model_repository" for folder in folders]


@pytest.fixture(scope="module")
def ports(backend: Backend, folders: list[Path]) -> Iterator[Ports]:
    chosen = Ports.free()
    with backend.launch(folders, chosen):
        yield chosen


def config_of(repository: Path, model: str) -> NetworkConfig:
    manifest = manifest_of(repository.parent)
    role = model.removeprefix(f"{manifest['run']}_").removesuffix("_uint8")
    return NetworkConfig.from_json(manifest["roles"][role]["provenance"]["network"])


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("protocol", storm.MODULES)
def test_the_server_draws_what_onnx_runtime_draws(repositories, backend, ports, protocol: str, batch: int) -> None:
    module, at = storm.MODULES[protocol], storm.spoken(backend, ports)
    if protocol not in at:
        pytest.skip(f"a server without {protocol}")
    with module.InferenceServerClient(at[protocol]) as client:
        for repository in repositories:
            for path in sorted(repository.glob("*/1/model.onnx")):
                config = config_of(repository, path.parts[-3])
                pinned = as_pixels(
                    config.fixed_inputs(batch, 5), config.images if path.parts[-3].endswith("_uint8") else ()
                )
                asked = []
                for name, value in pinned.items():
                    sent = value[:, None] if value.ndim == 1 else value  # a label is one element on the wire
                    asked.append(module.InferInput(name, sent.shape, np_to_triton_dtype(sent.dtype)))
                    asked[-1].set_data_from_numpy(sent)
                got = client.infer(path.parts[-3], asked).as_numpy(config.output_name)
                expected = onnx_runner(path.read_bytes(), 1)(pinned)
                assert got.shape == expected.shape
                assert got.dtype == expected.dtype
                if got.dtype == np.uint8:
                    assert (got != expected).mean() <= 1e-3
                    assert len(np.unique(got)) > 8, "a picture, not a blank"
                else:
                    assert np.abs(got - expected).max() <= 1e-5


def test_a_tiled_model_gives_the_whole_picture(folders: list[Path], ports) -> None:
    """Of sides that the graph by itself would not take, and larger than a tile."""
    for folder in folders:
        for endpoint in (e for e in endpoints_of(manifest_of(folder)) if e.tiles):
            high, wide, scale = 527, 533, endpoint.tiles.scale
            channels = endpoint.output.usual[-1]
            assert max(high, wide) > endpoint.tiles.core
            picture = np.random.default_rng(0).integers(0, 256, (high, wide, channels), dtype=np.uint8)
            url, name = f"http://127.0.0.1:{ports.http}", endpoint.inputs[0].name
            (got,) = client.infer(url, endpoint.name, {name: picture[None]}, endpoint.output.name)
            graph = onnx_runner((folder / endpoint.graph).read_bytes(), 1)
            (whole,) = graph({name: filled(picture, endpoint.tiles.multiple)[None]})
            assert got.shape == (scale * high, scale * wide, channels)
            assert np.array_equal(got, whole[: scale * high, : scale * wide])
            thin = np.zeros((1, 1 << 24, 1, channels), np.uint8)  # filled up it is twice the multiple as wide
            with pytest.raises(DataError, match=rf"of 1x{1 << 24} pixels becomes one of .* the most"):
                client.infer(url, endpoint.name, {name: thin}, endpoint.output.name)


def test_many_small_requests_are_batched_and_each_gets_its_own(repositories, ports) -> None:
    config = config_of(repositories[0], "gan_generator")
    z = config.fixed_inputs(40, 9)["z"]
    expected = onnx_runner((repositories[0] / "gan_generator/1/model.onnx").read_bytes(), 1)({"z": z})
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{ports.http}", concurrency=8) as client:
        waiting = []
        for row in z:
            asked = tritonclient.http.InferInput("z", [1, len(row)], "FP32")
            asked.set_data_from_numpy(row[None])
            waiting.append(client.async_infer("gan_generator", [asked]))
        got = np.concatenate([w.get_result().as_numpy("image") for w in waiting])
        statistics = client.get_inference_statistics("gan_generator")["model_stats"][0]
    assert np.abs(got - expected).max() <= 1e-5
    assert int(statistics["execution_count"]) < int(statistics["inference_count"])


BAD = {
    "wrong width": {"name": "z", "shape": [1, 3], "datatype": "FP32", "data": [0.0] * 3},
    "wrong type": {"name": "z", "shape": [1, 16], "datatype": "INT64", "data": [0] * 16},
    "wrong name": {"name": "noise", "shape": [1, 16], "datatype": "FP32", "data": [0.0] * 16},
    "too little data": {"name": "z", "shape": [1, 16], "datatype": "FP32", "data": [0.0] * 4},
    "too large a batch": {"name": "z", "shape": [65, 16], "datatype": "FP32", "data": [0.0] * 65 * 16},
    "wrong rank": {"name": "z", "shape": [16], "datatype": "FP32", "data": [0.0] * 16},
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_request_gets_an_error_and_the_server_goes_on(ports, bad: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        post(ports, json.dumps({"inputs": [BAD[bad]]}).encode())
    assert error.value.code in (400, 500)  # Triton answers 500 to some
    assert "error" in json.loads(error.value.read())
    good = {"name": "z", "shape": [1, 16], "datatype": "FP32", "data": [0.0] * 16}
    assert len(json.loads(post(ports, json.dumps({"inputs": [good]}).encode()))["outputs"][0]["data"]) == 64


@pytest.mark.parametrize("run", ["gan", "wgan_gp", "cgan", "vae_gan", "learned_f"])
def test_a_seed_draws_the_same_here_and_on_the_server(built, ports, run: str) -> None:
    """In one go, in other company, and over the wire: a row is a function of its seed."""
    folder, url = built.folder / "exported" / run, f"http://127.0.0.1:{ports.http}"
    here, there = client.Generator.open(folder), client.Generator.connect(url, folder)
    labels = {"y": np.arange(150) % 10} if run == "cgan" else {}
    seeds = np.arange(150) * 7919 - 500  # more than a batch, and some of them negative
    one, other = here.draw(seeds, **labels), there.draw(seeds, **labels)
    assert same(one, other)
    order = np.random.default_rng(0).permutation(150)[:9]
    assert same(one[order], there.draw(seeds[order], **{k: v[order] for k, v in labels.items()}))
    assert same(here.draw(seeds, 0.5, **labels), there.draw(seeds, 0.5, **labels))
    assert len(np.unique(one, axis=0)) == 150
    assert np.abs(here.draw(seeds, 1e-6, **labels).astype(float).std(0)).max() <= np.abs(one.astype(float).std(0)).max()


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """As far as a batch of another size may change the last bit."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    return (a != b).mean() <= 1e-3 if a.dtype == np.uint8 else np.abs(a - b).max() <= 1e-5


def test_serving_leaves_the_export_as_it_is(built, ports, repositories) -> None:
    """The server's Python compiles what it runs, but not beside it."""
    for repository in repositories:
        listed = files.read_json(repository.parent / "manifest.json")["files"]
        there = {str(p.relative_to(repository.parent)) for p in repository.rglob("*") if p.is_file()}
        assert there <= listed.keys()


def test_what_a_seeded_model_refuses(built, ports) -> None:
    url, seed = f"http://127.0.0.1:{ports.http}", np.array([7])
    refused = [
        ("cgan", {"seed": seed, "y": np.array([-1])}, "'y' takes whole numbers from 0 to 9"),
        ("cgan", {"seed": seed, "y": np.array([10])}, "'y' takes whole numbers from 0 to 9"),
        ("cgan", {"seed": seed}, r"missing required input\(s\) \['y'\]|input 'y' is missing"),
        ("gan", {"seed": seed, "z": np.full((1, 16), np.nan, np.float32)}, "'z' takes finite numbers"),
        ("gan", {"seed": seed, "central_mass": np.float32([1.5])}, "central_mass is above 0 and at most 1"),
        ("gan", {"seed": seed, "central_mass": np.float32([np.nan])}, "central_mass is above 0 and at most 1"),
        ("gan", {"seed": np.arange(65)}, "batch-size must be <= 64|batch of 65, the largest is 64"),
    ]
    for run, rows, reason in refused:
        with pytest.raises(DataError, match=f"refuses: .*{reason}"):
            client.infer(url, f"{run}_generator_seeded", rows, "image")
    assert client.infer(url, "gan_generator_seeded", {"seed": seed}, "image").shape == (1, 8, 8, 1)


def test_only_the_request_that_is_wrong_is_refused(ports) -> None:
    """Requests that wait together are drawn together."""
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{ports.http}", concurrency=8) as c:
        waiting = []
        for k in range(24):
            feed = {"seed": np.array([[k]]), "y": np.array([[-1 if k % 5 == 0 else 3]])}
            tensors = [
                tritonclient.http.InferInput(n, v.shape, "INT64").set_data_from_numpy(v) for n, v in feed.items()
            ]
            waiting.append(c.async_infer("cgan_generator_seeded", tensors))
        drawn = {}
        for k, w in enumerate(waiting):
            try:
                drawn[k] = w.get_result().as_numpy("image")
            except InferenceServerException as error:
                assert "takes whole numbers" in str(error)
    assert sorted(drawn) == [k for k in range(24) if k % 5]
    assert len(np.unique(np.concatenate(list(drawn.values())), axis=0)) == len(drawn)


def test_every_line_of_every_card_runs(built, ports, tmp_path, monkeypatch, capsys) -> None:
    """Word for word, but for the port."""
    ran = 0
    for run in RUNS:
        folder = tmp_path / run
        shutil.copytree(built.folder / "exported" / run, folder)
        (folder / "exported").symlink_to(built.folder / "exported")
        monkeypatch.chdir(folder)
        card = Path("README.md").read_text().replace("localhost:8000", f"127.0.0.1:{ports.http}")
        for kind, lines in re.findall(r"```(\w+)\n(.*?)```", card, re.S):
            if kind == "python":
                exec(compile(lines, f"{run}/README.md", "exec"), {})
                said = capsys.readouterr().out
                assert "gan_core" in lines or re.match(r"\(\d+, .*\) (uint8|float32)\n$", said), said
            else:
                done = subprocess.run(
                    ["bash", "-ec", f"set -o pipefail; {lines}"], env=built.environment, capture_output=True, text=True
                )
                assert done.returncode == 0, done.stderr
                assert "samples of" in done.stdout or json.loads(done.stdout)["outputs"][0]["data"], done.stdout
            ran += 1
        assert len(Path("README.md").read_text().split("```")) // 2 >= 3
    assert ran == 6 * 5 + 5 * 3  # six roles that draw, five that take data


def test_a_request_too_long_for_a_command_line() -> None:
    from gan_core.export.card import curl

    lines = curl("m", [{"name": "x", "dtype": "float32", "shape": ["batch", 3, 256, 256], "prior": "x", "size": 0}])
    echoed = lines.replace("curl -s localhost:8000/v2/models/m/infer -d @-", "cat")
    done = subprocess.run(["bash", "-ec", echoed], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["inputs"][0]["data"]) == 3 * 256 * 256


def test_a_storm(built, backend, ports) -> None:
    """What `make storm` does in full."""
    served = list(storm.models([built.folder / "exported" / run for run in RUNS]))
    assert len(served) == len(MODELS)
    at = storm.spoken(backend, ports)
    said = storm.mixed(served, at, 120, 0)
    assert said == {f"{protocol} equal": 120 // len(at) for protocol in at}
    said = storm.malformed(served, at, 100, 0)
    assert {what.rpartition(": ")[2] for what in said} == {"refused", "equal"}
    assert sum(n for what, n in said.items() if what.endswith("refused")) == 100


def test_a_body_that_is_no_json(ports) -> None:
    with pytest.raises(urllib.error.HTTPError):
        post(ports, b"{")


def post(ports: Ports, body: bytes) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{ports.http}/v2/models/gan_generator/infer", body)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


@needs_triton
def test_the_server_checks_the_config_against_the_graph_it_gets(repositories, tmp_path) -> None:
    """A repository that lies about its model does not load: the gate is not the only guard."""
    shutil.copytree(repositories[0], tmp_path / "model_repository")
    config = tmp_path / "model_repository/gan_generator/configs/cpu.pbtxt"
    config.write_text(config.read_text().replace("dims: 16", "dims: 17"))
    with pytest.raises(DataError, match="refused to start"), running(tmp_path / "model_repository"):
        pass


def running(repository: Path):
    return server.running(server.Installation.find(TRITON), [repository], Ports.free())


@needs_triton
def test_what_a_repository_asks_of_the_server_is_what_it_does(built: Workspace, tmp_path: Path) -> None:
    """Two instances of every model; an answer to a seed is kept, and is the same bits; another seed's is not it."""
    made = copy_of(built, tmp_path / "made")
    made.declare({"export.serving": {"instances": 2, "cache": True}})
    done = made.run("dvc", "repro", "export@cgan")
    assert done.returncode == 0, done.stderr
    folder, chosen, name = made.folder / "exported/cgan", Ports.free(), "cgan_generator_seeded"
    told = (folder / "model_repository/cgan_generator/configs/cpu.pbtxt").read_text()
    assert "count: 2" in told
    assert "response_cache" not in told, "latents hardly ever come twice"

    def ask(asking: tritonclient.http.InferenceServerClient, seed: int) -> np.ndarray:
        rows = {"seed": np.full((1, 1), seed), "y": np.full((1, 1), 3)}
        inputs = [tritonclient.http.InferInput(k, v.shape, "INT64") for k, v in rows.items()]
        for given, value in zip(inputs, rows.values(), strict=True):
            given.set_data_from_numpy(value)
        return np.asarray(asking.infer(name, inputs).as_numpy(storm.Model(*seeded_of(folder)).output))

    with (
        server.running(server.Installation.find(TRITON), [folder / "model_repository"], chosen),
        tritonclient.http.InferenceServerClient(f"127.0.0.1:{chosen.http}") as asking,
    ):
        first, again, other = (ask(asking, seed) for seed in (7, 7, 8))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
        (about,) = asking.get_inference_statistics(name)["model_stats"]
        assert about["inference_stats"]["cache_hit"]["count"] == 1
        assert about["inference_stats"]["cache_miss"]["count"] == 2
    written = deploy.write([folder], tmp_path / "deploy", Triton(), VERSION, "s3://models/exported")
    assert all("--cache-config=local,size=" in path.read_text() for path in written)


def seeded_of(folder: Path) -> tuple[ModelEndpoint, Path]:
    """The seeded endpoint of an export, and its graph."""
    (endpoint,) = (e for e in endpoints_of(manifest_of(folder)) if e.seeded)
    return endpoint, folder / endpoint.graph


def test_a_port_in_use_is_said(backend, folders) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        ports = replace(Ports.free(), http=busy)
        with (
            pytest.raises(EnvironmentFailure, match=f"port {busy} cannot be had .* --http-port"),
            backend.launch(folders, ports),
        ):
            pass


@needs_triton
def test_no_repository_and_no_server_are_said(tmp_path) -> None:
    with pytest.raises(DataError, match="is no model repository"), running(tmp_path / "nothing"):
        pass
    with pytest.raises(EnvironmentFailure, match=r"no Triton server in .* run `make"):
        server.Installation.find(tmp_path)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_serve_for_a_person(built: Workspace, backend: Backend, how: signal.Signals, code: int) -> None:
    """The command: it says where it listens, answers, and leaves no process behind, however it ends."""
    chosen = Ports.free()
    (name,) = (name for name, known in storm.BACKENDS.items() if known is backend)
    command = ["gan", "serve", "--server", name, "--triton", str(TRITON)]
    command += [f"--http-port={chosen.http}", f"--grpc-port={chosen.grpc}", f"--metrics-port={chosen.metrics}"]
    with subprocess.Popen(
        command,
        cwd=built.folder,
        env=built.environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where a script runs the tests it is ignored
    ) as process:
        try:
            assert process.stdout.readline() == f"serving {', '.join(MODELS)}\n"
            assert f":{chosen.http}" in process.stdout.readline()
            good = {"name": "z", "shape": [1, 16], "datatype": "FP32", "data": [0.0] * 16}
            post(chosen, json.dumps({"inputs": [good]}).encode())
            process.send_signal(how)
            assert process.wait(30) == code
        finally:
            process.kill()
    deadline = time.monotonic() + 20
    while serving(chosen) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not serving(chosen)
    local.check_ports(vars(chosen).values())


def serving(ports: Ports) -> list[Path]:
    """The processes that have these ports on their command line."""
    return [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(ports.http).encode() in read(p)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_no_gpu_is_claimed(backend, ports) -> None:
    if Path("/dev/nvidia0").exists() or not isinstance(backend, Triton):
        pytest.skip("there is a GPU, or no Triton, which has configurations")
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/v2/models/gan_generator/config") as answer:
        assert json.loads(answer.read())["instance_group"][0]["kind"] == "KIND_CPU"


@pytest.fixture(scope="module")
def own(built: Workspace) -> Iterator[tuple[subprocess.Popen[bytes], Ports]]:
    """The server of this Python, for what only it promises."""
    chosen = Ports.free()
    with OnnxRuntime().launch([built.folder / "exported/cycle_gan"], chosen) as process:
        yield process, chosen


def test_what_belongs_to_no_request_is_refused(own: tuple[subprocess.Popen[bytes], Ports]) -> None:
    """More bytes than any model needs, also when they were packed; other paths and methods; what is no HTTP."""
    process, ports = own
    name, most = "cycle_gan_a_to_b", 1 << 20
    infer = f"/v2/models/{name}/infer"
    for method, path, body, headers, status, says in (
        ("POST", infer, bytes(most), {}, 400, "the request: Invalid JSON"),
        ("POST", infer, bytes(most + 1), {}, 413, f"the request is larger than {most} bytes"),
        ("POST", infer, gzip.compress(bytes(100 * most)), {"Content-Encoding": "gzip"}, 413, "the request is larger"),
        ("POST", "/v2/models/other/infer", b"{}", {}, 404, "there is no such model"),
        ("POST", f"/v2/models/{name}/versions/2/infer", b"{}", {}, 404, "Not Found"),
        ("GET", infer, b"", {}, 405, "Method Not Allowed"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", ports.http, timeout=20)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        assert (answer.status, says in json.loads(answer.read())["error"]) == (status, True), says
        connection.close()
    with socket.create_connection(("127.0.0.1", ports.http), timeout=20) as s:
        s.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b" 400 Bad Request" in s.recv(4096)
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{ports.http}") as asking:
        assert asking.is_server_live() and asking.is_server_ready() and asking.is_model_ready(name, "1")
        assert asking.get_server_metadata()["extensions"] == ["binary_tensor_data", "statistics"]
        assert asking.get_model_metadata(name)["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 3, -1, -1]}
        ]
    assert process.poll() is None


def test_the_server_of_this_python_loads_no_torch(own: tuple[subprocess.Popen[bytes], Ports]) -> None:
    libraries = Path(f"/proc/{own[0].pid}/maps").read_text()
    assert "onnxruntime" in libraries
    assert "torch" not in libraries


def test_the_server_of_this_python_refuses_to_start(built: Workspace, tmp_path: Path, monkeypatch) -> None:
    """On a graph that is not what the manifest says, on two models of one name, and without its one package."""
    folder = built.folder / "exported/gan"
    shutil.copytree(folder, tmp_path / "gan")
    with (
        pytest.raises(DataError, match="refused to start: error: two folders have a model 'gan_generator'"),
        OnnxRuntime().launch([folder, tmp_path / "gan"], Ports.free()),
    ):
        pass
    (tmp_path / "gan/generator.onnx").write_bytes((folder / "generator.uint8.onnx").read_bytes())
    with (
        pytest.raises(DataError, match=r"refused to start: error: .*gan/generator\.onnx is corrupt"),
        OnnxRuntime().launch([tmp_path / "gan"], Ports.free()),
    ):
        pass
    monkeypatch.setattr("gan_core.serving.backends.onnxruntime.backend.find_spec", lambda _name: None)
    with (
        pytest.raises(NotInstalled, match=r"no aiohttp in .* run `pip install aiohttp`"),
        OnnxRuntime().launch([], Ports()),
    ):
        pass


FORMS = {"wide": ("RGBA", [192, 320], 4, 8), "deep": ("I;16", 32, 1, 16)}
"""Mode, size, channels and bits of pictures."""


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run on rectangles with alpha and one on grey of 16 bits, from folders of PNG files to exports."""
    made = Workspace(tmp_path_factory.mktemp("forms"))
    rng = np.random.default_rng(0)
    common = {"labels": False, "heldout": 0.5, "fit": "exact", "background": 0, "on_bad_image": "error"}
    network = {"family": "dcgan", "width": 1, "latent": 8}
    made.declare({"datasets": {}, "runs": {}, "evaluate.samples": 500, "evaluate.features": "own"})
    made.declare({"extractor.steps_per_class": 1, "extractor.min_steps": 1, "extractor.max_steps": 10})
    made.declare({"export.engines": {"flavour": "none", "targets": [], "precisions": [], "here": []}})
    fp32 = {key: value for key, value in SMALL["export"]["precisions"].items() if key == "fp32"}
    made.declare({"export.precisions": fp32, "export.max_batch_size": 8})
    for name, (mode, size, channels, bits) in FORMS.items():
        folder = made.folder / "pictures" / name
        folder.mkdir(parents=True)
        high, wide = size if isinstance(size, list) else (size, size)
        for k in range(110):
            small = rng.integers(0, 256, (4, 4, channels), np.uint8)
            image = Image.fromarray(small.squeeze(), "L" if channels == 1 else mode).resize((wide, high))
            deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if bits == 16 else image
            deep.save(folder / f"{k}.png")
        made.declare(
            {
                f"images.{name}": common
                | {"path": f"pictures/{name}", "size": size, "channels": channels, "bits": bits},
                f"runs.{name}": {
                    "variant": "gan", "dataset": name, "network": network,
                    "train": {"steps": 2, "batch_size": 8, "evaluate_every": 2}, "settings": {"r1": 0.1},
                },
            }
        )  # fmt: skip
    done = made.run("dvc", "repro", *(f"export@{name}" for name in FORMS))
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_rectangles_alpha_and_16_bits_reach_the_server_s_answer(forms: Workspace, backend: Backend) -> None:
    """What the server draws is to the bit what the exported graph gives here, in the shape and type of the data."""
    folders = {name: forms.folder / "exported" / name for name in FORMS}
    ports = Ports.free()
    with backend.launch(list(folders.values()), ports):
        for name, (_, size, channels, bits) in FORMS.items():
            high, wide = size if isinstance(size, list) else (size, size)
            asked = client.Generator.connect(f"http://127.0.0.1:{ports.http}", folders[name]).draw(range(5, 8))
            here = client.Generator.open(folders[name]).draw(range(5, 8))
            assert (asked.shape, asked.dtype) == ((3, high, wide, channels), f"uint{bits}")
            assert (asked == here).all()
            assert len(np.unique(asked)) > 256 if bits == 16 else len(np.unique(asked)) > 8
