"""Decoding in a process of its own, which has limits and dies of them; this one goes on.

A recording is whatever somebody has sent. Decoders are large, written in C, and have looped, asked for
all memory and crashed on a few bytes. So what `wav.plain` cannot read goes, as an open file, to a
process that knows nothing else, and comes back as samples. Processes start when they are needed, stay
for the next recording, and end with this one. Without POSIX there are none, and decoding happens here.

    → {"call": "blocks" | "seconds" | "recorded", "name": …, …} and a file descriptor
    ← b"p" samples, b"w" a warning, b"e" an AudioError, b"d" done; each with its length
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from erc.base import decoding
from erc.base.arrays import to_int16
from erc.base.decoders import warm
from erc.base.errors import AudioError, AudioWarning

MEMORY = 256 << 20  # bytes of address space beyond what the process has at rest
COMPUTING = 3  # s of computing that a piece of a second or so may take
WAITING = 30  # s that it may take in all: a disk may sleep, other programs may compute
HEAD = struct.Struct("<cQ")
HARM = "; it is damaged, or made to do harm"
LARGEST = 1 << 28  # bytes of a message
POSIX = hasattr(socket, "send_fds") and hasattr(os, "fork")
HERE = str(Path(__file__).parents[2])  # where erc lies
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from erc.base.apart import serve; serve(int(sys.argv[1]))"
)

_idle: list[Decoder] = []
_lock = threading.Lock()
if POSIX:
    os.register_at_fork(after_in_child=_idle.clear)  # they belong to the parent


class _Dead(Exception):
    """The process has not answered; the message says why."""


def blocks(file: BinaryIO, name: str, dtype: str) -> Iterator[np.ndarray]:
    """`audio.blocks` of a file at its position; samples as float32, or int16.

    Raises:
        AudioError: as there; or decoding it took too long, too much memory, or killed the decoder.
    """
    for kind, data in _asked(file, {"call": "blocks", "name": name, "dtype": dtype}):
        if kind == b"p":
            yield data.view(dtype)


def seconds(file: BinaryIO, name: str, most: float) -> float:
    """`audio.seconds` of a file at its position; raises as `blocks`."""
    most = min(most, 1e12)  # JSON has no infinity
    found = [data for _, data in _asked(file, {"call": "seconds", "name": name, "most": most})]
    return float(found[-1].view(np.float64)[0])


def recorded(file: BinaryIO, name: str) -> tuple[np.ndarray, int, float]:
    """`audio.recorded` of a file at its position; raises as `blocks`."""
    *pieces, facts = [data for _, data in _asked(file, {"call": "recorded", "name": name})]
    rate, channels, missing = facts.view(np.float64).tolist()
    samples = np.concatenate([np.zeros(0, np.float32), *(p.view(np.float32) for p in pieces)])
    return samples.reshape(-1, int(channels)), int(rate), missing


def _asked(file: BinaryIO, request: dict[str, Any]) -> Iterator[tuple[bytes, np.ndarray]]:
    name = request["name"]
    with _descriptor(file) as handle:
        with _lock:
            decoder = _idle.pop() if _idle else None
        if decoder and decoder.process.poll() is not None:  # died while nobody asked
            decoder = None
        decoder, whole = decoder or Decoder(), False
        try:
            decoder.ask(request, handle)
            while True:
                kind, data = decoder.message()
                if kind == b"w":
                    warnings.warn(bytes(data).decode(), AudioWarning, stacklevel=4)
                    continue
                whole = kind in b"de"
                if kind == b"e":
                    raise AudioError(bytes(data).decode("utf-8", "surrogatepass"))
                yield kind, data
                if whole:
                    return
        except _Dead as error:
            raise AudioError(f"{name}: cannot be decoded ({error})") from None
        finally:
            if whole:
                with _lock:
                    _idle.append(decoder)
            else:  # also when who reads has seen enough
                decoder.end()


class Decoder:
    """The other process, seen from here."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        # An editable install finds erc by a hook of `site`, which does not run there, and not by a path.
        path = json.dumps([HERE, *(p or os.getcwd() for p in sys.path)])
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START, str(theirs.fileno()), path],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        self.socket.settimeout(WAITING)

    def ask(self, request: dict[str, Any], handle: int) -> None:
        try:
            text = json.dumps(request).encode()
            socket.send_fds(self.socket, [HEAD.pack(b"?", len(text)) + text], [handle])
        except OSError:
            raise _Dead(self.why()) from None

    def message(self) -> tuple[bytes, np.ndarray]:
        """The next one; raises `_Dead`."""
        kind, length = HEAD.unpack(self._read(HEAD.size).tobytes())
        if length > LARGEST:
            raise _Dead(f"its decoder answers nonsense{HARM}")
        return kind, self._read(length)

    def why(self) -> str:
        """Of a process that has stopped answering."""
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return f"nothing came of it for {WAITING} s{HARM}"
        if -code in (signal.SIGXCPU, signal.SIGKILL):
            return f"a piece of it took more than {COMPUTING} s of computing{HARM}"
        if code == 1:  # Python ended with an exception, which no decoder raises
            return f"the process that decodes does not run, code {code}; is erc installed whole?"
        return f"its decoder crashed, code {code}{HARM}"

    def end(self) -> None:
        """Kill it."""
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def _read(self, length: int) -> np.ndarray:
        found = np.empty(length, np.uint8)
        rest = memoryview(found.data)
        try:
            while rest:
                if not (got := self.socket.recv_into(rest)):
                    raise _Dead(self.why())
                rest = rest[got:]
        except OSError:  # also that nothing came in time
            raise _Dead(self.why()) from None
        return found


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """What can be handed over of a file.

    One of the disk that was opened for this goes as it is. All else is copied: what somebody holds open
    must not be moved in, and bytes are no file.
    """
    if getattr(file, "ours", False):
        yield file.fileno()
        return
    linux = hasattr(os, "memfd_create")
    with open(os.memfd_create(""), "w+b") if linux else tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.flush()
        yield copy.fileno()


def serve(handle: int) -> None:
    """What the other process does: answer until nobody asks any more."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warm()
    with socket.socket(fileno=handle) as ours:
        while True:
            data, handles, _, _ = socket.recv_fds(ours, 1 << 16, 1)
            if not data:
                return
            _, length = HEAD.unpack(data[: HEAD.size])
            while len(data) < HEAD.size + length:
                data += ours.recv(1 << 16)
            request = json.loads(data[HEAD.size :])
            with open(handles[0], "rb") as file:
                file.seek(0)
                _answer(ours, file, request)


def _answer(ours: socket.socket, file: BinaryIO, request: dict[str, Any]) -> None:
    def send(kind: bytes, data: Any = b"") -> None:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        head = HEAD.pack(kind, len(view))
        sent = ours.sendmsg([head, view]) - len(head)  # at once: each message wakes the other side
        ours.sendall(view[sent:])
        _limit_computing()

    name = request["name"]
    _limit_memory()
    _limit_computing()
    with warnings.catch_warnings():
        warnings.simplefilter("always", AudioWarning)
        warnings.showwarning = lambda message, *_, **__: send(b"w", str(message).encode())
        try:
            if request["call"] == "seconds":
                found = decoding.seconds_here(file, name, request["most"], _limit_computing)
                send(b"d", np.array([found], np.float64))
                return
            if request["call"] == "recorded":
                facts = decoding.recorded_here(file, name, lambda piece: send(b"p", piece))
                send(b"d", np.array(facts, np.float64))
                return
            for piece in decoding.blocks_here(file, name):
                send(b"p", to_int16(piece) if request["dtype"] == "int16" else piece)
            send(b"d")
        except AudioError as error:
            send(b"e", str(error).encode("utf-8", "surrogatepass"))
        except MemoryError:
            send(b"e", f"{name}: cannot be decoded (it asks for too much memory)".encode())


def _limit_memory() -> None:
    import resource

    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass  # no such files, or no such limit: macOS


def _limit_computing() -> None:
    import resource

    spent = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + COMPUTING, resource.RLIM_INFINITY))
