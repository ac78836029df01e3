"""A runner's program that says what the documented session does: progress, a line, usage, a result."""

import json
import os
import sys

json.load(sys.stdin)
for line in (
    {"progress": 40, "message": "reading"},
    {"log": "3 sources found", "kind": "output"},
    {"usage": {"tokens_in": 1200, "tokens_out": 80, "model": "small"}},
    {"result": {"summary": "All is well.", "sources": 3}},
):
    os.write(int(os.environ["CREWHUB_REPORT_FD"]), json.dumps(line).encode() + b"\n")
