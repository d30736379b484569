"""Requests of Python's clients: urllib, requests, httpx, aiohttp; of those that are installed."""

import asyncio
import importlib.util
import sys
import urllib.parse
import urllib.request

base = sys.argv[1]
photo = ("photo.jpg", b"\xff" * 500, "image/jpeg")


def pieces():
    yield b"first,"
    yield b"second"


def with_urllib():
    ask = urllib.request.urlopen
    ask(base + "/urllib/get?q=%E2%82%AC").read()
    ask(base + "/urllib/form", urllib.parse.urlencode({"a": "1", "b": "ü &"}).encode()).read()
    ask(urllib.request.Request(base + "/urllib/put", b"content", {"Content-type": "text/plain"}, method="PUT")).read()


def with_requests():
    import requests

    with requests.Session() as session:
        session.get(base + "/requests/get", params={"q": ["a b", "ü"]}, cookies={"a": "1", "b": "2"})
        session.post(base + "/requests/form", data={"a": "1", "b": "ü &"})
        session.post(base + "/requests/json", json={"a": [1, None]}, auth=("name", "secret"))
        session.post(base + "/requests/multipart", data={"title": "x"}, files={"photo": photo})
        session.post(base + "/requests/chunked", data=pieces())
        session.head(base + "/requests/head")


def with_httpx():
    import httpx

    with httpx.Client() as client:
        client.get(base + "/httpx/get", params={"q": "a b"}, headers=[("X-Two", "1"), ("X-Two", "2")])
        client.post(base + "/httpx/json", json={"a": [1, None]})
        client.post(base + "/httpx/multipart", data={"title": "x"}, files={"photo": photo})
        client.post(base + "/httpx/chunked", content=pieces())
        client.patch(base + "/httpx/patch", content=b"")


async def with_aiohttp():
    import aiohttp

    async def later():
        for piece in pieces():
            yield piece

    async with aiohttp.ClientSession() as session:
        await session.get(base + "/aiohttp/get?q=a%20b")
        await session.post(base + "/aiohttp/json", json={"a": [1, None]})
        await session.post(base + "/aiohttp/form", data={"a": "1", "b": "ü &"})
        await session.post(base + "/aiohttp/chunked", data=later())
        await session.delete(base + "/aiohttp/delete")


with_urllib()
for name, run in [
    ("requests", with_requests),
    ("httpx", with_httpx),
    ("aiohttp", lambda: asyncio.run(with_aiohttp())),
]:
    if importlib.util.find_spec(name):
        run()
