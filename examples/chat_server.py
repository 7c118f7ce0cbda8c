"""A stand-in for OpenAI's service: an HTTP server on 127.0.0.1 that speaks its chat API.

``python -m examples.chat_server COMMAND ...`` runs a command with its address and a key in
the environment. No language model answers: each description comes back with a word before it.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server sends: a status, headers, and a body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


def completion(
    content: str | None,
    *,
    model: str = "gpt-4o-mini-2024-07-18",
    finish_reason: str = "stop",
    tokens: tuple[int, int] = (100, 50),
) -> Answer:
    """Return a chat completion whose message is `content`."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
        },
    }
    return Answer(body=json.dumps(body).encode())


def failure(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """Return an error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), names)


def rewritten(request: dict[str, Any]) -> Answer:
    """Each description, rewritten, in the form that the step asks for."""
    system, user = (message["content"] for message in request["messages"])
    name = "captions" if '{"captions"' in system else "prompts"
    descriptions = json.loads(user)["descriptions"]
    return completion(json.dumps({name: [f"Dreamy {text}" for text in descriptions]}))


@dataclass
class ChatServer:
    """Answers by `reply`, after the answers in `script` are used up."""

    reply: Callable[[dict[str, Any]], Answer] = rewritten
    script: list[Answer] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    address: str = ""
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: dict[str, Any], key: str) -> Answer:
        """Return the answer to a request; note the request, its key and how many run at once."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.requests.append(request)
            self.times.append(time.monotonic())
            self.keys.add(key)
            answer = self.script.pop(0) if self.script else self.reply(request)
        time.sleep(answer.delay_seconds)
        with self._lock:
            self._at_once -= 1
        return answer


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Run the server for as long as the block lasts."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send(state.answer(request, self.headers["Authorization"]))

        def do_GET(self) -> None:
            self.send(state.script.pop(0) if state.script else Answer(body=b'{"data": []}'))

        def send(self, answer: Answer) -> None:
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client gave up

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> int:
    """Run the command on the command line; returns its exit status."""
    with chat_server() as state:
        environment = {"OPENAI_BASE_URL": state.address, "OPENAI_API_KEY": "stand-in"}
        return subprocess.run(sys.argv[1:], env=os.environ | environment).returncode


if __name__ == "__main__":
    sys.exit(main())
