// Requests of node: fetch (undici), and the older http module.
import http from "node:http";

const base = process.argv[2];
const json = JSON.stringify({ a: [1, null] });
await fetch(`${base}/node/get?q=%20`, { headers: { "x-spelling": "small" } });
await fetch(`${base}/node/json`, { method: "POST", headers: { "content-type": "application/json" }, body: json });
await fetch(`${base}/node/form`, { method: "POST", body: new URLSearchParams({ a: "1", b: "ü &" }) });
const upload = new FormData();
upload.append("title", "x");
upload.append("photo", new Blob([new Uint8Array(500).fill(255)], { type: "image/jpeg" }), "photo.jpg");
await fetch(`${base}/node/multipart`, { method: "PUT", body: upload });
const pieces = new ReadableStream({
  start(controller) {
    for (const piece of ["first,", "second"]) controller.enqueue(new TextEncoder().encode(piece));
    controller.close();
  },
});
await fetch(`${base}/node/chunked`, { method: "POST", body: pieces, duplex: "half" });

const ask = (path, options, ...content) =>
  new Promise((answered) => {
    const request = http.request(base + path, options, (response) => response.resume().on("end", answered));
    for (const piece of content) request.write(piece);
    request.end();
  });
await ask("/nodehttp/get", { headers: { Cookie: ["a=1", "b=2"], "X-Two": ["1", "2"] } });
await ask("/nodehttp/chunked", { method: "POST", headers: { Trailer: "X-Sum" } }, "first,", "second");
