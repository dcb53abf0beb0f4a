#!/usr/bin/env bash
# together 3.1.1 (PyPI): `tg fine-tuning list --json` prints only 20 of the jobs that the API returned, and does not say so.
#
# Expected: all 30 jobs, or a hint that there are more.
# Seen with together 3.1.1, Python 3.11, when the API returns 30 jobs in one response: a bare JSON array of the 20 newest jobs,
# exit code 0, nothing about the other 10 on stdout or stderr. A file that was saved this way is no complete list: a program
# that compares it with an earlier one would take 10 jobs for deleted.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "together==3.1.1"
NO_PROXY=127.0.0.1 HOME="$folder" "$folder/venv/bin/python" - "$folder/venv/bin/tg" <<'PY'
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

JOBS = [
    {"id": f"ft-{day:02}", "status": "completed", "model": "acme/base", "total_price": 4000000000,
     "created_at": f"2026-06-{day:02}T08:00:00Z", "updated_at": f"2026-06-{day:02}T09:00:00Z"}
    for day in range(1, 31)
]


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": JOBS} if self.path.endswith("/fine-tunes") else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
environment = {
    **os.environ,
    "TOGETHER_API_KEY": "invented-key",
    "TOGETHER_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1",
    "NO_COLOR": "1",
}
command = [sys.argv[1], "fine-tuning", "list", "--json"]
done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
printed = json.loads(done.stdout)
ids = sorted(job["id"] for job in printed)
print(f"exit {done.returncode}; {len(printed)} of {len(JOBS)} jobs, {ids[0]} to {ids[-1]}; stderr: {done.stderr!r}")
assert done.returncode == 0
assert isinstance(printed, list)
assert ids == [f"ft-{day:02}" for day in range(11, 31)], "the command no longer prints the newest 20"
assert "20" not in done.stderr and "more" not in done.stderr.lower()
PY
