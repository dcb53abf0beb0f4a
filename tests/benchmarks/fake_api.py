"""A stand-in for the API that is fast enough not to be what is measured: a list without events, details, and files.

    python tests/benchmarks/fake_api.py FILE --latency 0.02

Prints its address. FILE is what `generate.py` has written as `.ndjson`. Every detail takes `--latency` seconds on
average, whatever timers do. After `GET /change?percent=1` that many of the jobs say something else. Plain asyncio: one
process, no thread for a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from pathlib import Path

TRAINING_FILE = re.compile(rb'"training_file":"([^"]+)"')
EVENTS = re.compile(rb'"events":\[.*\],(?="from_checkpoint":)')
BEFORE, AFTER = b'"refund_amount":0', b'"refund_amount":1000'


class Service:
    """The jobs of a file; `requests` counts what was asked."""

    def __init__(self, file: Path, latency: float) -> None:
        self.latency = latency
        self.late = 0.0  # seconds by which timers ring too late, on average
        self.requests = 0
        lines = file.read_bytes().splitlines()
        self.details = {json.loads(line)["id"].encode(): line for line in lines}
        self.listed = {job_id: EVENTS.sub(b"", line) for job_id, line in self.details.items()}
        self.files = [
            b'{"id":"%s","object":"file","created_at":1767225600,"filename":"%s.jsonl","bytes":1048576,'
            b'"purpose":"fine-tune","FileType":"jsonl","LineCount":1000,"Processed":true}' % (name, name[-4:])
            for name in sorted(set(TRAINING_FILE.findall(file.read_bytes())))
        ]

    def change(self, percent: int) -> None:
        """Let that many of all jobs have been refunded meanwhile."""
        for job_id in list(self.details)[:: 100 // percent]:
            self.details[job_id] = self.details[job_id].replace(BEFORE, AFTER)
            self.listed[job_id] = self.listed[job_id].replace(BEFORE, AFTER)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                body = await self.answer(head.split(b" ", 2)[1])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path: bytes) -> bytes:
        """The body for a path."""
        if path.startswith(b"/change"):
            self.change(int(path.rpartition(b"=")[2]))
            return b"{}"
        if path == b"/requests":
            return b"%d" % self.requests
        if path.endswith(b"/whoami"):
            return b"{}"
        if path == b"/v1/fine-tunes":
            return b'{"data":[' + b",".join(self.listed.values()) + b"]}"
        if path == b"/v1/files":
            return b'{"data":[' + b",".join(self.files) + b"]}"
        if self.latency:
            begun = time.perf_counter()
            await asyncio.sleep(self.latency - self.late)
            self.late += 0.05 * (time.perf_counter() - begun - self.latency)
        return self.details[path.rpartition(b"/")[2]]


async def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the API, for benchmarks.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each detail takes")
    options = parser.parse_args()
    service = Service(options.file, options.latency)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    print("http://{}:{}/v1".format(*server.sockets[0].getsockname()[:2]), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
