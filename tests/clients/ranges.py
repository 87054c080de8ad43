#!/usr/bin/env python3
"""Files in ranges over HTTP: requests, httpx, aiohttp and fsspec, with the fields that they send.

    ranges.py read URL FILE...

Each client names its codings in Accept-Encoding, also beside Range, and decodes what comes. Fails
unless the ranges of the file at URL/FILE are those of FILE in the working directory.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
import fsspec
import httpx
import requests

PIECE = 70_000


def pieces(whole):
    for start in range(0, len(whole), PIECE):
        end = min(start + PIECE, len(whole)) - 1
        yield {"Range": f"bytes={start}-{end}"}, whole[start : end + 1]


def check(client, got, piece, fields):
    assert got == piece, f"{client}: {fields}: {len(got)} bytes, not the file's {len(piece)}"


def by_requests(url, whole):
    with requests.Session() as session:
        for fields, piece in pieces(whole):
            answer = session.get(url, headers=fields)
            assert answer.status_code == 206
            check("requests", answer.content, piece, fields)
        assert session.get(url).content == whole


def by_httpx(url, whole):
    with httpx.Client() as client:
        for fields, piece in pieces(whole):
            check("httpx", client.get(url, headers=fields).content, piece, fields)
        assert client.get(url).content == whole


async def by_aiohttp(url, whole):
    async with aiohttp.ClientSession() as session:
        for fields, piece in pieces(whole):
            async with session.get(url, headers=fields) as answer:
                check("aiohttp", await answer.read(), piece, fields)
        async with session.get(url) as answer:
            assert await answer.read() == whole


def by_fsspec(url, whole):
    files = fsspec.filesystem("http", skip_instance_cache=True)
    assert files.cat_file(url) == whole
    assert files.cat_file(url, start=1000, end=5000) == whole[1000:5000]
    assert files.cat_file(url, start=-5000) == whole[-5000:]
    assert files.cat_ranges([url] * 3, [0, 10, 90_000], [5, 20, 90_100]) == [
        whole[0:5], whole[10:20], whole[90_000:90_100]
    ]
    for kind in ["readahead", "bytes", "blockcache", "background"]:
        with files.open(url, block_size=PIECE, cache_type=kind) as file:
            assert file.size in (None, len(whole)), f"fsspec: {file.size} for {len(whole)} bytes"
            for start in [len(whole) - 10, 5, 150_000, 70_000]:
                file.seek(start)
                check(f"fsspec {kind}", file.read(10), whole[start : start + 10], start)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", base, *names]:
            for name in names:
                whole, url = Path(name).read_bytes(), f"{base}/{name}"
                by_requests(url, whole)
                by_httpx(url, whole)
                asyncio.run(by_aiohttp(url, whole))
                by_fsspec(url, whole)
        case _:
            sys.exit(__doc__)
