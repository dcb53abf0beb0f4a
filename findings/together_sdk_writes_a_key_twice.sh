#!/usr/bin/env bash
# together 3.1.1 (PyPI): `client.fine_tuning.list().to_json()` writes the key `model_output_name` twice in each job.
#
# Expected: each key of the response once.
# Seen with together 3.1.1, pydantic 2.x, Python 3.11, for a job that the API sent with one `model_output_name`:
#     to_json()                   "model_output_name" twice, with the same value
#     model_dump_json()           "x_model_output_name" and "model_output_name", each once
#     json.dumps(list.to_dict())  TypeError: datetime is not JSON serializable
# Cause, as far as the output shows: the field is called `x_model_output_name` with the alias `model_output_name`, and the
# key of the response is kept as an extra field as well. A strict reader (Arrow's JSON reader, for one: "specified twice")
# refuses such a job, so a program that reads saved responses has to accept equal duplicates of a key.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "together==3.1.1"
NO_PROXY=127.0.0.1 "$folder/venv/bin/python" -W ignore - <<'PY'
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import together

JOB = {
    "id": "ft-1", "status": "completed", "model": "acme/base", "model_output_name": "acme/tuned",
    "created_at": "2026-07-02T08:10:14Z", "updated_at": "2026-07-02T09:10:14Z", "total_price": 4000000000,
}


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [JOB]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def keys(text):
    """How often each key of the first job is written."""
    found = []

    def pairs(items):
        if "id" in dict(items):
            found.append(Counter(key for key, _ in items))
        return dict(items)

    json.loads(text, object_pairs_hook=pairs)
    return found[0]


server = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = together.Together(api_key="invented-key", base_url=f"http://127.0.0.1:{server.server_port}/v1")
jobs = client.fine_tuning.list()

written = keys(jobs.to_json())
dumped = keys(jobs.model_dump_json())
try:
    json.dumps(jobs.to_dict())
    plain = "json.dumps(to_dict()) works"
except TypeError as error:
    plain = str(error)
print("to_json:", {key: count for key, count in written.items() if count > 1})
print("model_dump_json:", {key: count for key, count in dumped.items() if "model_output_name" in key})
print("to_dict:", plain)
assert written["model_output_name"] == 2, "to_json no longer writes the key twice"
assert (dumped["model_output_name"], dumped["x_model_output_name"]) == (1, 1)
assert "datetime" in plain
PY
