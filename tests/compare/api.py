"""A small JSON API in two releases: the second differs in what `PLANTED` of report.rs lists, and in nothing else.

Run as: python3 api.py PORT RELEASE
"""

import gzip
import json
import re
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE = int(sys.argv[2])


def user(number):
    found = {
        "id": int(number),
        "name": f"user {number}",
        "email": f"user{number}@example.com",
        "balance": 12.5 if RELEASE == 1 else 12.50,
        "served_at": time.time(),
        "request_id": str(uuid.uuid4()),
    }
    if RELEASE == 1:
        found["legacy"] = True
    else:
        # In another order, which means nothing.
        found = dict(reversed(found.items()))
        found["currency"] = "EUR"
    return 200, found


def items():
    price = (lambda cents: cents / 100) if RELEASE == 1 else (lambda cents: f"{cents / 100:.2f}")
    return 200, {
        "items": [{"sku": f"s-{n}", "price": price(100 * n + 99)} for n in range(20)],
        "served_at": time.time(),
    }


def order(number):
    return 200, {"order": number, "state": "paid", "lines": [{"quantity": 1}, {"quantity": 2}]}


def old():
    return (200, {"old": True}) if RELEASE == 1 else (404, {"error": "gone"})


ROUTES = [
    (r"/users/(\d+)", user),
    (r"/items", items),
    (r"/orders/([0-9a-f]+)", order),
    (r"/old", old),
]


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        matches = ((re.fullmatch(pattern, path), answer) for pattern, answer in ROUTES)
        status, found = next(
            (answer(*match.groups()) for match, answer in matches if match),
            (404, {"error": "no such thing"}),
        )
        # The second release spells its JSON otherwise, and codes it.
        body = json.dumps(found, indent=None if RELEASE == 1 else 2).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Request-Id", str(uuid.uuid4()))
        if RELEASE == 1:
            self.send_header("X-Frame-Options", "DENY")
        elif "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Api).serve_forever()
