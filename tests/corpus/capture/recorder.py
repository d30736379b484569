"""Writes each request that it receives, byte for byte, to DIRECTORY/CLIENT-WHAT.http, named by its path /CLIENT/WHAT."""

import re
import socketserver
import sys
from pathlib import Path

directory, port_file = map(Path, sys.argv[1:])

PAGE = b"""<!doctype html><title>page</title><link rel=icon href=/chromium/icon><img src=/chromium/image>
<form method=post action=/chromium/form><input name=name value="J\xc3\xbcrgen"><input name=note value="a b"></form>
<script type=module>
document.cookie = "seen=1; path=/";
const json = JSON.stringify({a: [1, 2, {b: null}]});
await fetch("/chromium/json?x=%20", {method: "POST", headers: {"Content-Type": "application/json"}, body: json});
await fetch("/chromium/preload", {headers: {"X-Requested-With": "fetch"}, cache: "no-store"});
const upload = new FormData();
upload.append("title", "x");
upload.append("photo", new Blob([new Uint8Array(2000).fill(255)], {type: "image/jpeg"}), "photo.jpg");
await fetch("/chromium/multipart", {method: "PUT", body: upload});
await new Promise((sent) => {
  const old = new XMLHttpRequest();
  old.open("DELETE", "/chromium/xhr");
  old.onload = sent;
  old.send();
});
navigator.sendBeacon("/chromium/beacon", "left");
document.forms[0].submit();
</script>
"""


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while self.exchange():
            pass

    def exchange(self):
        head = self.until_empty_line()
        if not head:
            return False
        field = lambda name: re.search(rb"\r\n" + name + rb":\s*([^\r]*)", head, re.I)
        if field(b"Expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        content = b""
        if field(b"Transfer-Encoding"):
            content = self.chunks()
        elif length := field(b"Content-Length"):
            content = self.rfile.read(int(length[1]))
        method, target, version = head.split(b"\r\n")[0].split(b" ")
        if named := re.match(rb"/(\w+)/(\w+)", target):
            (directory / f"{named[1].decode()}-{named[2].decode()}.http").write_bytes(head + content)
        body = PAGE if target == b"/chromium/page" else b"ok"
        kind = b"text/html; charset=utf-8" if body is PAGE else b"text/plain"
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nSet-Cookie: session=abc; Path=/\r\nContent-Length: %d\r\n\r\n%s"
            % (kind, len(body), b"" if method == b"HEAD" else body)
        )
        return version == b"HTTP/1.1"

    def until_empty_line(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            head += line
        return head

    def chunks(self):
        content = b""
        while (size := self.rfile.readline()) and int(size, 16):
            content += size + self.rfile.read(int(size, 16) + 2)
        content += size
        while (line := self.rfile.readline()) != b"\r\n":
            content += line
        return content + line


class Recorder(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Recorder(("127.0.0.1", 0), Connection) as server:
    port_file.write_text(str(server.server_address[1]))
    server.serve_forever()
