"""The fake on a port."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from contract import PREFIX
from fake import Fake, Silence


def serve(fake: Fake) -> tuple[ThreadingHTTPServer, str]:
    """The server on a port of its own, and its address; ``shutdown`` and ``server_close`` end it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: in two, the second waits 40 ms for the first's acknowledgement

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            answer = fake.answer(self.command, self.path, dict(self.headers), body)
            if isinstance(answer, Silence):
                if not answer.ends:
                    self.connection.recv(1)  # until the client goes
                self.close_connection = True
                return
            data = answer.body.encode() if isinstance(answer.body, str) else b""
            if answer.body is not None and not data:
                data = json.dumps(answer.body).encode()
            fake.check(self.command, urlsplit(self.path).path.removeprefix(PREFIX), answer, data)
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/html" if isinstance(answer.body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"
