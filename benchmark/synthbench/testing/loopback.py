"""A server on this machine that stands for one of the network: answers ranges, breaks connections, and says what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Loopback:
    """Serves the files below `root`.

    breaks: by path, after how many bytes each of the next answers breaks off. statuses: by path, what the next answers are instead.
    plain: without ranges, versions and lengths. asked: path and range of each request.
    """

    root: Path
    address: str = ""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    plain: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    """Says nothing of clients that hang up, which is what tests have them do."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Does nothing."""


@contextmanager
def serving(root: Path) -> Iterator[Loopback]:
    """A server that runs in a thread."""
    loopback = Loopback(root)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            """Does nothing."""

        def do_GET(self) -> None:
            """Answers from the folder."""
            answer(self, loopback)

    server = Server(("127.0.0.1", 0), Handler)
    loopback.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, loopback: Loopback) -> None:
    """Answers one request."""
    path, wanted = handler.path, handler.headers.get("Range", "")
    loopback.asked.append((path, wanted))
    file = loopback.root / path.lstrip("/")
    if statuses := loopback.statuses.get(path):
        handler.send_error(statuses.pop(0))
        return
    if not file.is_file():
        handler.send_error(404)
        return
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
    if loopback.plain or handler.headers.get("If-Range", tag) != tag:
        start = 0
    if start and start >= len(content):
        handler.send_error(416)
        return
    handler.send_response(206 if start else 200)
    if not loopback.plain:
        handler.send_header("Content-Length", str(len(content) - start))
        handler.send_header("ETag", tag)
    handler.end_headers()
    stop = start + loopback.breaks[path].pop(0) if loopback.breaks.get(path) else len(content)
    handler.wfile.write(content[start:stop])
    handler.close_connection = True
