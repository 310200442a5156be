"""The common part of the stand-ins: it handles requests, simulates faults, and records received items.

A stand-in prints its address once it listens. Each item that it accepts is a line of `received.jsonl`, each request a line
of `requests.jsonl`. Faults are a JSON array, set with --faults or with `PUT /stand-in/faults`. Each fault applies to the
next request, or to the next `times` requests:

    {"fault": "unauthorized"}                   401
    {"fault": "busy", "retry_after": 2}         429 with Retry-After
    {"fault": "broken", "status": 503}          a status of 500 or more
    {"fault": "reject", "id": "a@b.example"}    this item is rejected, the others are accepted
    {"fault": "wrong_index"}                    an item is rejected, and the answer names an item that wasn't sent
    {"fault": "error_in_200"}                   the first item is rejected in an answer of status 200
    {"fault": "slow", "seconds": 5}             all items are accepted, and the answer's body comes slowly
    {"fault": "hang_up"}                        all items are accepted, and the connection closes without an answer
"""

import argparse
import base64
import gzip
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULTS = {"unauthorized", "busy", "broken", "reject", "wrong_index", "error_in_200", "slow", "hang_up"}
MAX_BODY = 64 * 1024 * 1024


def compact(value):
    """Returns JSON text without spaces, as programs write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Refused(Exception):
    """Raised to answer a whole request with an error."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class StandIn:
    """A stand-in. Subclasses check and handle the requests."""

    def __init__(self, auth, folder, faults):
        self.auth = auth
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self.faults = []
        self.set_faults(faults)

    def set_faults(self, faults):
        for fault in faults:
            if fault.get("fault") not in FAULTS:
                raise Refused(400, f"no such fault: {fault}; there are {sorted(FAULTS)}")
        with self.lock:
            self.faults = [{"times": 1, **fault} for fault in faults]

    def next_fault(self):
        with self.lock:
            if not self.faults:
                return {}
            fault = self.faults[0]
            fault["times"] -= 1
            if fault["times"] <= 0:
                self.faults.pop(0)
            return fault

    def append(self, name, line):
        """Appends a line to a file. The caller holds the lock, so lines of two requests don't mix."""
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def state(self):
        raise NotImplementedError

    def handle(self, method, path, body, fault):
        """Handles a request. Returns the status and the body (a JSON value) of the answer, and the number of accepted items."""
        raise NotImplementedError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin = None

    def log_message(self, *_):
        pass

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                self.close_connection = True
                raise Refused(413, "the body is too large")
            body = self.rfile.read(length)
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def reply(self, status, answer, headers=(), slow=0):
        body = compact(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if slow:
            self.wfile.flush()
            for byte in body:
                time.sleep(slow / len(body))
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
        else:
            self.wfile.write(body)

    def control(self, body):
        """Handles the requests of tests, which need no password. They aren't part of the service that this stands in for."""
        if self.command == "PUT" and self.path == "/stand-in/faults":
            self.standin.set_faults(json.loads(body))
            return 200, {}
        if self.command == "GET" and self.path == "/stand-in/state":
            with self.standin.lock:
                return 200, self.standin.state()
        raise Refused(404, "there is /stand-in/faults (PUT) and /stand-in/state (GET)")

    def answer(self):
        standin = self.standin
        fault, headers, accepted = {}, [], 0
        try:
            body = self.read_body()
            if self.path.startswith("/stand-in/"):
                return self.reply(*self.control(body))
            fault = standin.next_fault()
            given = self.headers.get("Authorization", "").encode()
            kind = fault.get("fault")
            if kind == "unauthorized" or not hmac.compare_digest(given, standin.auth.encode()):
                raise Refused(401, "the credentials are not those of this account")
            if kind == "busy":
                headers.append(("Retry-After", str(fault.get("retry_after", 1))))
                raise Refused(429, "too many requests")
            if kind == "broken":
                raise Refused(fault.get("status", 503), "broken on purpose")
            with standin.lock:
                status, reply, accepted = standin.handle(self.command, self.path, body, fault)
        except Refused as refused:
            status, reply = refused.status, {"meta": {"error": str(refused)}}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            status, reply = 400, {"meta": {"error": f"malformed request: {error!r}"}}
        request = {"method": self.command, "path": self.path, "status": status, "accepted": accepted}
        if fault:
            request["fault"] = fault["fault"]
        if not self.path.startswith("/stand-in/"):
            with standin.lock:
                standin.append("requests.jsonl", compact(request))
        if fault.get("fault") == "hang_up":
            self.close_connection = True
            return None
        return self.reply(status, reply, headers, fault.get("seconds", 5) if fault.get("fault") == "slow" else 0)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


def basic(auth):
    """Returns `site:key` as a client sends it in the Authorization header."""
    return "Basic " + base64.b64encode(auth.encode()).decode()


def main(make, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--auth", required=True, help="the credentials that clients must send")
    parser.add_argument("--folder", required=True, help="where received.jsonl and requests.jsonl go")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 is any that is free")
    parser.add_argument("--faults", type=json.loads, default=[], help="a JSON array")
    args = parser.parse_args()
    Handler.standin = make(args.auth, args.folder, args.faults)
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)
