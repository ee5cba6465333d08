"""The server: ``python -m gan_core.serving.backends.onnxruntime.server PORT FOLDER...``; ``gan serve`` starts it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from aiohttp import web

from gan_core.runtime import errors
from gan_core.serving.backends.onnxruntime import model, protocol
from gan_core.serving.backends.onnxruntime.model import Model
from gan_core.serving.deploy.deployed import MIN_REQUEST, largest_request
from gan_core.serving.session import Runtime

PATIENCE = 10.0
"""Seconds that requests have to end when the server is stopped."""
RUNTIME = Runtime("cpu", spins=False)
"""Threads that wait leave the cores to whoever reads requests."""
MODELS = web.AppKey("models", dict[str, Model])

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(folders: Sequence[Path]) -> web.Application:
    """All models of exported folders, loaded.

    Raises:
        DataError: a folder holds no finished export, or a graph is not what its manifest describes.
        InputError: two of them have a model of one name.
    """
    models = model.load(folders, RUNTIME)
    app = web.Application(middlewares=[refusing])
    app[MODELS] = models
    app.router.add_get("/v2", about)
    for path in ("/v2/health/live", "/v2/health/ready"):
        app.router.add_get(path, healthy)
    for path in ("/v2/models/{name}", f"/v2/models/{{name}}/versions/{{version:{protocol.VERSION}}}"):
        app.router.add_get(path, described)
        app.router.add_get(f"{path}/ready", ready)
        app.router.add_get(f"{path}/stats", statistics)
        app.router.add_post(f"{path}/infer", infer)
    return app


@web.middleware
async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure is a status and one sentence."""
    try:
        return await handler(request)
    except errors.InputError as error:
        return refusal(400, str(error))
    except web.HTTPException as error:
        return refusal(error.status, f"{request.method} {request.path}: {error.reason}")
    except Exception as error:
        logging.exception("%s %s", request.method, request.path)
        return refusal(500, f"{type(error).__name__} while this was computed; the server's log says where")


def refusal(status: int, sentence: str) -> web.Response:
    """An error as the protocol has it."""
    return web.json_response({"error": sentence}, status=status)


def named(request: web.Request) -> Model:
    """The model that a path names.

    Raises:
        web.HTTPNotFound: there is none.
    """
    models, name = request.app[MODELS], request.match_info["name"]
    if name not in models:
        raise web.HTTPNotFound(reason="there is no such model")
    return models[name]


async def about(_request: web.Request) -> web.Response:
    """The server itself."""
    extensions = ["binary_tensor_data", "statistics"]
    return web.json_response(
        {"name": "gan-foundry", "version": metadata.version("gan-foundry"), "extensions": extensions}
    )


async def healthy(_request: web.Request) -> web.Response:
    """It listens only when all models are loaded."""
    return web.Response()


async def ready(request: web.Request) -> web.Response:
    """So is each of them."""
    named(request)
    return web.Response()


async def described(request: web.Request) -> web.Response:
    """A model's inputs and output."""
    return web.json_response(protocol.metadata(named(request).endpoint))


async def statistics(request: web.Request) -> web.Response:
    """How often the graph of a model was run, and for how many samples, as Triton tells it."""
    found = named(request)
    said: Mapping[str, Any] = {
        "name": found.endpoint.name,
        "version": protocol.VERSION,
        "inference_count": found.samples,
        "execution_count": found.executions,
    }
    return web.json_response({"model_stats": [said]})


async def infer(request: web.Request) -> web.Response:
    """An answer to a request."""
    found = named(request)
    raw = protocol.HEAD_LENGTH in request.headers
    most = largest_request([found.endpoint]) if raw or not found.endpoint.tiles else MIN_REQUEST
    try:
        content = await request.clone(client_max_size=most).read()
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, f"the request is larger than {most} bytes, which is the most that this model takes")
    asked = protocol.asked(found.endpoint, content, request.headers.get(protocol.HEAD_LENGTH))
    if raw and found.endpoint.tiles and not asked.binary:
        raise errors.InputError(f"a picture is long as JSON; ask for '{found.endpoint.output.name}' as binary data")
    value = await found(found.checked(asked.rows))
    body, headers = protocol.answer(found.endpoint, asked, value)
    return web.Response(body=body, headers=headers)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    port, *folders = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what is no HTTP is refused, and no news
    web.run_app(
        application([Path(folder) for folder in folders]),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=None,
        shutdown_timeout=PATIENCE,
    )


if __name__ == "__main__":
    errors.run(main)
