"""Body of a request → `Item`s, in memory and bounded; nothing is decoded here."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from erc.base.errors import AudioError, ConfigError, did_you_mean
from erc.base.space import KEMDY, Space
from erc.server.problems import Problem, problem_of, too_large
from erc.server.schemas import Options, PredictForm, PredictRequest, TimelineForm, of

logging.getLogger("python_multipart").setLevel(
    logging.CRITICAL
)  # it quotes broken forms, byte by byte
M = TypeVar("M", bound=BaseModel)
VALUES = 1_000_000  # in the JSON of one request: parsing holds up everybody else
LIST: TypeAdapter[list[Any]] = TypeAdapter(list[Any])


@dataclass(frozen=True)
class Item:
    """One utterance of a request."""

    name: str
    audio: bytes | None
    options: Options
    physiology: dict[str, Any] | None = None


class _InMemory(MultiPartParser):
    """The gate has limited the size: no temporary files, no threads to write them."""

    spool_max_size = 1 << 40


async def read_items(
    request: Request, many: bool, most: int, space: Space = KEMDY
) -> list[Item | Problem]:
    """The utterances of a request; with `many`, a bad one is a Problem in its place.

    Args:
        space: what the model that is asked answers in.

    Raises:
        Problem: the body as a whole cannot be used, or has more than `most` utterances.
    """
    asked = {"sets": request.query_params["sets"]} if "sets" in request.query_params else {}
    if not is_form(request):
        value = parsed(await request.body())
        values = _validated(LIST.validate_python, value) if many else [value]
        values = [asked | one if isinstance(one, dict) else one for one in values]
        _check_count(len(values), most)
        kind = of(PredictRequest, space)
        return [_or_problem(lambda v: _json_item(v, kind), value, many) for value in values]
    kind = of(PredictForm, space)
    form = await read_form(request)
    files, texts = _files(form, "file"), form.getlist("text")
    _check_count(len(files), most)
    if not many:
        if len(files) > 1:
            raise Problem(422, "ConfigError", "one file at a time; for more POST /v1/predict/batch")
        return [form_item(files[0] if files else None, asked | _fields(form), kind)]
    if texts and len(texts) != len(files):
        raise Problem(
            422, "ConfigError", f"{len(texts)} texts for {len(files)} files; give as many"
        )
    common = asked | _fields(form, "text")
    each = zip(files, texts or [""] * len(files), strict=True)
    return [
        _or_problem(
            lambda f: form_item(f[0], f[1], kind), (file, common | ({"text": t} if t else {})), True
        )
        for file, t in each
    ]


def form_item(
    file: UploadFile | None, fields: dict[str, Any], kind: type[PredictForm] = PredictForm
) -> Item:
    """One utterance of a form."""
    options = validated(kind, fields)
    name, audio = (name_of(file), file.file.read()) if file else ("<text>", None)
    return Item(name, audio, options, options.physiology)


async def read_timeline(request: Request) -> tuple[str, bytes, Any, TimelineForm]:
    """Name, recording, segments or None, and options of POST /v1/timeline."""
    if not is_form(request):
        raise Problem(415, "ConfigError", "send a form: curl -F file=@meeting.wav")
    form = await read_form(request)
    options = validated(TimelineForm, _fields(form))
    files, transcripts = _files(form, "file"), _files(form, "transcript")
    if len(files) != 1 or len(transcripts) > 1:
        raise Problem(422, "ConfigError", "give one file, and one transcript or none")
    segments: Any = options.segments
    if transcripts:
        name, data = name_of(transcripts[0]), transcripts[0].file.read()
        segments = await asyncio.to_thread(_transcript, name, data)
    return name_of(files[0]), files[0].file.read(), segments, options


def is_form(request: Request) -> bool:
    """multipart/form-data, or JSON; nothing else is understood."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/json"):
        raise Problem(
            415, "ConfigError",
            f"Content-Type {kind or 'is missing'}: send multipart/form-data or application/json",
        )  # fmt: skip
    return kind == "multipart/form-data"


async def read_form(request: Request) -> FormData:
    """Fields and files, in memory."""
    try:
        return await _InMemory(request.headers, request.stream(), max_part_size=1 << 24).parse()
    except MultiPartException as error:
        raise Problem(400, "BadRequest", f"not a form: {error.message}") from None


def validated(model: type[M], fields: Any, others: tuple[str, ...] = ("file",)) -> M:
    """The fields as a model; raises Problem 422 for the first that is wrong, without its value."""
    given = fields if isinstance(fields, dict) else {}
    name = next((str(name) for name in given if name not in model.model_fields), None)
    if name is not None:
        known = [*model.model_fields, *others]
        what = f"'{name}'" if name.isascii() and len(name) <= 40 else "field of such a name"
        message = f"there is no {what}{did_you_mean(name[:40], known)}; {', '.join(known)}"
        raise Problem(422, "ConfigError", message)
    return _validated(model.model_validate, fields)


def name_of(file: UploadFile) -> str:
    """The name without folders: answers quote it, and no path of a client means anything here."""
    return (file.filename or "").replace("\\", "/").rpartition("/")[2] or "<recording>"


def _check_count(items: int, most: int) -> None:
    if items > most:
        raise too_large(f"{items} items; at most {most} at once, send them in parts")


def _check_json(text: bytes) -> None:
    if sum(map(text.count, (b",", b"[", b"{"))) > VALUES:
        raise too_large(f"more than {VALUES:,} values in JSON; send them in parts")


def parsed(body: bytes) -> Any:
    """JSON, of a size that holds up nobody."""
    _check_json(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(422, "ConfigError", "body: not JSON") from None


def _json_item(value: Any, kind: type[PredictRequest]) -> Item:
    one = validated(kind, value)
    try:
        audio = decoded(one.audio) if one.audio is not None else None
    except (binascii.Error, ValueError):
        raise AudioError(f"{one.name or '<recording>'}: audio is not base64") from None
    name = one.name or ("<text>" if audio is None else "<recording>")
    return Item(name, audio, one, one.physiology)


def decoded(text: str) -> bytes:
    """Base64, wrapped into lines or not, also as a data URL (RFC 2397).

    >>> decoded("data:audio/wav;base64,UklG\\nRg==")
    b'RIFF'
    """
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise ValueError("a data URL without base64")
    return base64.b64decode("".join(text.split()), validate=True)


def _or_problem(make: Callable[[Any], Item], value: Any, many: bool) -> Item | Problem:
    try:
        return make(value)
    except Exception as error:
        if not many:
            raise
        return problem_of(error)


def _files(form: FormData, name: str) -> list[UploadFile]:
    found = form.getlist(name) + (form.getlist("files") if name == "file" else [])
    if any(isinstance(one, str) for one in found):
        raise Problem(422, "ConfigError", f"{name} is text; with curl write -F {name}=@PATH")
    return [one for one in found if isinstance(one, UploadFile)]


def _fields(form: FormData, *but: str) -> dict[str, Any]:
    """What a form says besides files; twice the same is a mistake."""
    fields: dict[str, Any] = {}
    for key, value in form.multi_items():
        if key in but or (isinstance(value, UploadFile) and key in ("file", "files", "transcript")):
            continue
        if key in fields:
            raise Problem(422, "ConfigError", f"{key} is given twice")
        if isinstance(value, str):
            _check_json(value.encode())
        fields[key] = value
    return fields


def _transcript(name: str, data: bytes) -> list[Any]:
    from erc.base.text import decode
    from erc.timeline.subtitles import READERS

    suffix = name[name.rfind(".") :].lower()
    if suffix not in READERS:
        raise ConfigError(f"{name}: a transcript with times is one of {', '.join(READERS)}")
    return READERS[suffix](decode(data, name), name)


def _validated(check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Problem(422, "ConfigError", f"{where}: {first['msg']}") from None
