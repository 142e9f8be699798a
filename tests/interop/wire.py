"""The wire between offhours and a simulator: it passes requests on, keeps some of them waiting, answers some itself, and
writes down each stop that comes, and when."""

import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# A client that has gone does not wait for what is held.
LONGEST_HOLD = 120


class Wire:
    def __init__(self, *, holds=lambda request: False, answers=lambda request: None):
        """`holds` says of which requests to wait with until `release`; `answers` gives (status, headers) for what is not
        passed on."""
        self.holds, self.answers = holds, answers
        self.lock, self.released = threading.Lock(), threading.Event()
        self.stops, self.held = [], 0
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body would wait for each other's acknowledgement.
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, content = wire.pass_on(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_POST = do_any

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                """The client has gone."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def leads_to(self, url):
        self.upstream = urlsplit(url).netloc

    def release(self):
        self.released.set()

    def end(self):
        self.release()
        self.server.shutdown()

    def stops_after(self, moment):
        """Ids that were asked to stop after a moment of the real monotonic clock."""
        with self.lock:
            return [stop for at, ids in self.stops if at > moment for stop in ids]

    def pass_on(self, method, path, headers, body):
        request = Request(method, path.split("?")[0], headers, body, self)
        with self.lock:
            if request.ids:
                self.stops.append((time.monotonic(), request.ids))
            answer = self.answers(request)
            waits = answer is None and not self.released.is_set() and bool(self.holds(request))
            self.held += waits
        if answer is not None:
            status, more = answer
            content = json.dumps({"error": {"code": "01019999", "message": "on the wire", "requestId": "wire"}})
            return status, [("Content-Type", "application/json"), *more], content.encode()
        if waits:
            self.released.wait(LONGEST_HOLD)
        upstream = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            upstream.request(method, path, body, {name: value for name, value in headers.items() if name.lower() != "host"})
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()


class Request:
    """One request, the ids that it asks to stop, and the wire that it came over."""

    def __init__(self, method, path, headers, body, wire):
        self.method, self.path, self.wire, self.ids = method, path, wire, []
        if method == "PATCH":
            entries = json.loads(body).get("deployments")
            self.ids = [entry["id"] for entry in entries] if entries else [path.rsplit("/", 1)[1]]
