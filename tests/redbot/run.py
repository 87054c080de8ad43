#!/usr/bin/env python3
"""What REDbot and httplint have to say about the answers of a running server.

    run.py URL...

For each URL: REDbot's checks (negotiation, conditional requests, ranges) as a client that knows no
codings and as two that do; then httplint over the raw answers to requests that REDbot never makes.
One JSON object a line for each note, whatever its level:

    {"url", "check", "status", "level", "category", "note", "subject", "summary"}

and a last line {"urls": N}. Exits 0 when every check ran, whatever the notes say.
"""

import json
import socket
import sys
from argparse import Namespace
from configparser import ConfigParser
from urllib.parse import urlsplit

import thor
from httplint.cli.http_parser import HttpCliParser, modes
from redbot.resource import HttpResource

# Name of the check -> the request's header fields. With an Accept-Encoding of its own, REDbot
# leaves out its negotiation check and tries ranges and conditions on the coded representation.
CLIENTS = {
    "plain": [],
    "gzip": [("Accept-Encoding", "gzip")],
    "browser": [("Accept-Encoding", "gzip, deflate, br, zstd")],
}

# Name of the check -> request line and fields; `{path}` and `{host}` are filled in.
RAW = {
    "head": ("HEAD {path} HTTP/1.1", ["Accept-Encoding: br"]),
    "options": ("OPTIONS {path} HTTP/1.1", []),
    "post": ("POST {path} HTTP/1.1", ["Content-Length: 0"]),
    "http-1.0": ("GET {path} HTTP/1.0", ["Accept-Encoding: gzip"]),
    "absolute-form": ("GET http://{host}{path} HTTP/1.1", ["Accept-Encoding: gzip"]),
    "past-the-end": ("GET {path} HTTP/1.1", ["Range: bytes=9999999999-"]),
    "no-coding": ("GET {path} HTTP/1.1", ["Accept-Encoding: *;q=0"]),
}

TIMEOUT = 30


def note_of(url, check, status, level, category, note, subject, summary):
    return {
        "url": url,
        "check": check,
        "status": status,
        "level": level,
        "category": category,
        "note": note,
        "subject": subject,
        "summary": summary,
    }


def notes_of(url, check, linter):
    """The linter's notes and the notes below those."""
    notes = list(linter.notes)
    for note in notes:
        yield note_of(
            url,
            check,
            linter.status_code,
            note.level.value,
            str(note.category.value),
            type(note).__name__,
            note.subject,
            str(note.summary),
        )
        notes.extend(note.subnotes)


def failure(url, check, status, summary):
    return note_of(url, check, status, "bad", "Connection", "FAILED", "", summary)


def redbot(urls):
    """REDbot's notes about each URL as each client, and about each further request it made."""
    settings = ConfigParser()
    settings.read_dict({"redbot": {"enable_local_access": "True"}})
    checks = []
    for url in urls:
        for client, fields in CLIENTS.items():
            resource = HttpResource(settings["redbot"])
            resource.set_request(url, headers=fields)
            checks.append((url, client, resource))
    run_all([resource for _, _, resource in checks])
    for url, client, resource in checks:
        if not resource.check_done:
            yield failure(url, client, None, f"not done within {TIMEOUT} seconds")
        answers = [(client, resource)]
        answers += [(f"{client}/{check}", answer) for check, answer in resource.subreqs.items()]
        for check, answer in answers:
            if answer.fetch_error:
                status = answer.response.status_code
                yield failure(url, check, status, str(answer.fetch_error))
            if answer.has_response:
                yield from notes_of(url, check, answer.response)


def run_all(resources):
    """Runs all checks in one turn of the event loop, which does not survive a second one."""
    left = len(resources)

    def one_done():
        nonlocal left
        left -= 1
        if left == 0:
            thor.stop()

    for resource in resources:
        resource.on("check_done", one_done)
    thor.schedule(TIMEOUT, thor.stop)
    for resource in resources:
        resource.check()
    thor.run()


class RawAnswer(HttpCliParser):
    """httplint's own reader of raw responses, but it keeps the notes instead of printing them."""

    def __init__(self, method):
        HttpCliParser.__init__(self, Namespace(mode=modes.RESPONSE))
        self.method = method
        self.done = False
        self.error = None

    def input_start(self, *args):
        allows_body, is_final = HttpCliParser.input_start(self, *args)
        self.linter.is_head_response = self.method == "HEAD"
        return allows_body and self.method != "HEAD", is_final

    def input_end(self, trailers):
        self.linter.finish_content(True, trailers)
        self.done = True

    def input_error(self, err, close=True):
        self.error = f"{err.desc}: {err.detail}"


def raw(url, check, line, fields):
    """httplint's notes about the raw answer to one request."""
    parts = urlsplit(url)
    path = parts.path or "/"
    line = line.format(path=path, host=parts.netloc)
    head = "\r\n".join([line, f"Host: {parts.netloc}", "Connection: close", *fields, "", ""])
    answer = RawAnswer(line.split()[0])
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=TIMEOUT) as connection:
        connection.sendall(head.encode("ascii"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    if not received:
        yield failure(url, check, None, "no answer")
        return
    answer.handle_input(received)
    linter = getattr(answer, "linter", None)
    status = linter and linter.status_code
    if answer.error or not answer.done:
        yield failure(url, check, status, answer.error or "the answer ends too early")
    if linter:
        yield from notes_of(url, check, linter)


def main(urls):
    if not urls:
        sys.exit(__doc__)
    for note in redbot(urls):
        print(json.dumps(note))
    for url in urls:
        for check, (line, fields) in RAW.items():
            for note in raw(url, check, line, fields):
                print(json.dumps(note))
    print(json.dumps({"urls": len(urls)}))


if __name__ == "__main__":
    main(sys.argv[1:])
