"""The routes, and what /openapi.json says of them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from erc.base.errors import ErcError
from erc.base.space import Space
from erc.recognizer import Recognizer
from erc.recognizer.scales import count, ends
from erc.server import live, schemas
from erc.server.answers import answers
from erc.server.gate import Gate
from erc.server.metrics import Metrics
from erc.server.problems import Problem, json_response, problem_of
from erc.server.schemas import PredictForm, PredictRequest, TimelineForm, of
from erc.server.service import Service
from erc.server.settings import Settings
from erc.server.uploads import read_items, read_timeline

MIME = {"csv": "text/csv", "vtt": "text/vtt", "eaf": "application/xml"}
FILE = {"type": "string", "format": "binary", "description": "wav, flac, ogg or mp3"}
ABOUT = {
    400: "The form is broken.", 401: "The key is missing or wrong.",
    403: "A page of another site, or a name that is not this server's.",
    413: "Too many bytes, seconds or items.", 415: "Neither a form nor JSON.",
    422: "A recording or an option cannot be used; the message says why.",
    429: "Too many wrong keys at once.",
    503: "The queue is full or the server stops; Retry-After says when to come back.",
    504: "No answer within the time limit.",
}  # fmt: skip
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorAnswer, "description": text} for status, text in ABOUT.items()
}


def create_app(
    recognizer: Recognizer, settings: Settings, about: dict[str, Any] | None = None
) -> Gate:
    """The ASGI application.

    Args:
        about: `model`, `licences` and `forbidden_use` for /info; see `erc.server.run.about`.
    """
    metrics = Metrics()
    service = Service(recognizer, settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close(settings.timeout)

    app = FastAPI(title="erc", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    for kind in (Problem, ErcError, HTTPException, Exception):
        app.add_exception_handler(kind, _failed)
    _predicting(app, service)
    _about(app, service, about or {})

    live.add(app, service)
    app.openapi = lambda: _openapi(app, settings.root_path)  # type: ignore[method-assign]
    return Gate(app, settings, metrics)


def _predicting(app: FastAPI, service: Service) -> None:
    settings, space = service.settings, service.recognizer.space
    said, as_json, as_form = answers(space), of(PredictRequest, space), of(PredictForm, space)

    @app.post(
        "/v1/predict", summary=f"{_gives(space)} of one utterance",
        response_model=said.one, responses=ERRORS,
        openapi_extra=_body(_form(as_form, file=FILE), as_json.model_json_schema()),
    )  # fmt: skip
    async def predict(request: Request) -> Response:
        [result] = await service.answer(
            request, await read_items(request, False, settings.queue, space)
        )
        if isinstance(result, BaseException):
            raise result
        return json_response(result)

    files = {"type": "array", "items": FILE}
    texts = {"type": "array", "items": {"type": "string"}, "description": "None, or as many."}

    @app.post(
        "/v1/predict/batch", summary="Many utterances; a bad one fails alone, the order is kept",
        response_model=said.batch, responses=ERRORS,
        openapi_extra=_body(
            _form(as_form, file=files, text=texts),
            {"type": "array", "items": as_json.model_json_schema()},
        ),
    )  # fmt: skip
    async def predict_batch(request: Request) -> Response:
        items = await read_items(request, True, settings.queue, space)
        results = await service.answer(request, items)
        return json_response(
            {
                "results": [
                    {"file": getattr(item, "name", f"<item {i}>"), "error": problem_of(r).error()}
                    if isinstance(r, BaseException)
                    else r
                    for i, (item, r) in enumerate(zip(items, results))
                ]
            }
        )

    other = {kind: {"schema": {"type": "string"}} for kind in MIME.values()}

    @app.post(
        "/v1/timeline", summary="Turns of a long recording with an answer each",
        response_model=said.timeline, responses={200: {"content": other}, **ERRORS},
        openapi_extra=_body(_form(TimelineForm, file=FILE, transcript=FILE | {
            "description": "A .srt, .vtt or .json file."})),
    )  # fmt: skip
    async def timeline(request: Request) -> Response:
        name, data, segments, options = await read_timeline(request)
        chosen = options.model_dump(exclude={"segments", "format"})
        made = await service.timeline(request, name, data, segments, chosen)
        if options.format == "json":
            return json_response(made.to_dict())
        from dataclasses import replace

        from erc.timeline import write

        sink = io.StringIO()
        # an .eaf links the recording where there is one of that name: not on this machine
        write(replace(made, file="") if options.format == "eaf" else made, options.format, sink)
        return Response(sink.getvalue(), media_type=MIME[options.format])


def _about(app: FastAPI, service: Service, about: dict[str, Any]) -> None:
    bad = {"model": schemas.Health, "description": "Send nothing here."}

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=schemas.Health, responses={503: bad})
    async def health() -> Response:
        """Whether to send requests here; needs no key."""
        return json_response({"status": service.status}, 200 if service.status == "ok" else 503)

    @app.get("/info", response_model=schemas.Info, responses={401: ERRORS[401]})
    async def info() -> Response:
        """The model's essentials and the server's limits."""
        from erc import __version__

        one, s = service.recognizer, service.settings
        limits = (
            "max_seconds", "max_timeline", "max_mb", "max_live", "live_idle", "queue", "batch_size",
            "batch_wait",
        )  # fmt: skip
        return json_response(
            {
                "version": __version__,
                "model": about.get("model", ""),
                "id": one.model,
                "simulated": one.learned.simulated,
                "modalities": list(one.spec.modalities),
                **one.space.to_json(),
                "not_offered": one.learned.missing,
                "calibrated": one.learned.calibrated,
                "scales": _scales(one.space),
                "runtime": one.runtime.name,
                "limits": {k: getattr(s, k) for k in (*limits, "timeout")},
                "licences": about.get("licences", []),
                "forbidden_use": about.get("forbidden_use", ""),
            }
        )

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}, 401: ERRORS[401]},
             response_class=Response)  # fmt: skip
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def start(request: Request) -> Response:
        there = {getattr(route, "path", "") for route in app.routes}
        path = "/web" if "/web" in there else "/openapi.json"
        return RedirectResponse(request.scope["root_path"] + path)


def _scales(space: Space) -> dict[str, str]:
    """What the numbers of an answer mean, in words."""
    many = count(len(space.emotions))
    shares = {"probabilities": f"0–1; estimated share of raters, all {many} sum to 1"}
    return (shares if space.emotions else {}) | {d.name: ends(d) for d in space.dimensions}


def _gives(space: Space) -> str:
    """In words, e.g. "Emotion, valence and arousal"."""
    *others, last = [*["emotion"] * bool(space.emotions), *space.names]
    words = f"{', '.join(others)} and {last}" if others else last
    return words[0].upper() + words[1:]


async def _failed(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        kind = {404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "HTTPError")
        headers = dict(error.headers or {})
        return Problem(error.status_code, kind, str(error.detail), headers).response()
    return problem_of(error).response()


def _form(model: type[schemas.Strict], **files: Any) -> dict[str, Any]:
    """Schema of a form: the model's fields and its files."""
    schema = model.model_json_schema()
    return schema | {"properties": files | schema["properties"] | files}


def _body(form: dict[str, Any], json: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"multipart/form-data": {"schema": form}}
    if json:
        content["application/json"] = {"schema": json}
    return {"requestBody": {"required": True, "content": content}}


def _openapi(app: FastAPI, root: str) -> dict[str, Any]:
    """With the two ways to show a key, and where a proxy shows the server."""
    if app.openapi_schema is None:
        from erc import __version__

        schema = get_openapi(
            title="erc", version=__version__, routes=app.routes,
            servers=[{"url": root}] if root else None,
            description=f"{_gives(app.state.service.recognizer.space)} from speech and transcript.",
        )  # fmt: skip
        schema["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        schema["security"] = [{}, {"bearer": []}, {"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema
