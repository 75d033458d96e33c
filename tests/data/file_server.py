"""A small web server that can be told to behave badly."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """files: {path: bytes}. requests: what was asked, as (path, Range or None). sent: bytes of bodies.

    How it behaves: parts, does it know Range; wrong_part, does it lie about where a part begins; cut, the bytes after
    which it hangs up, once for each entry; statuses, the answers it gives first.
    """

    def __init__(self, files):
        self.files = files
        self.parts = True
        self.cut, self.statuses, self.requests = [], [], []
        self.wrong_part = False
        self.sent = 0

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.requests.append((handler.path, asked))
        if self.statuses:
            return handler.send_error(self.statuses.pop(0))
        if handler.path not in self.files:
            return handler.send_error(404)
        content, start = self.files[handler.path], 0
        if asked and self.parts:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return handler.send_error(416)
            handler.send_response(206)
            told = start + 1 if self.wrong_part else start
            handler.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        body = content[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cut:
            body = body[: self.cut.pop(0)]
        self.sent += len(body)
        with contextlib.suppress(OSError):
            handler.wfile.write(body)
        handler.close_connection = True


@contextlib.contextmanager
def serving(files):
    """The server, with its address as `.url`."""
    server = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        server.url = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            web.shutdown()
            thread.join()
