"""A chat-completions server on the loopback that gives the replies it is told to give."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVED = "stub-model-2024-08-06"


def completion(text: str | None, finish: str = "stop") -> dict[str, Any]:
    """Return the body of a chat completion."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"model": SERVED, "choices": [choice]}


class StubEndpoint:
    """Answers each request with `reply(prompt)`: text, or (status, body); keeps what it was asked.

    `asked` has the path, headers and body of every request.
    """

    def __init__(self, url: str):
        self.url = url
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Callable[[str], Any] = lambda prompt: "Score: 50"

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for _, _, body in self.asked]


@contextmanager
def serving() -> Iterator[StubEndpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            stub.asked.append((self.path, headers, body))
            said = stub.reply(body["messages"][-1]["content"])
            status, content = said if isinstance(said, tuple) else (200, completion(said))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            with suppress(ConnectionError):  # the client may have given up
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = StubEndpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
