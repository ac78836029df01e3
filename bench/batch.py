"""(g) A batch of tasks made durable by one request, beside bare rows in one commit.

Owns the pusher (this process) and the count of rows; the hub is a process of its own, with no agent in sight,
so that nothing but taking the batch in is measured.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import httpx

from bench.children import hub
from bench.commits import commits_a_second

ROWS_A_TASK: Final = 3
"""Where it stands, what was asked, and the line of the log that says so."""


def batch_seconds(folder: Path, *, tasks: int, batches: int) -> list[float]:
    """How long the hub takes for each of so many batches, from the request to the answer."""
    found = []
    with hub(folder, "full") as running:
        headers = {"Authorization": f"Bearer {running.token}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as http:
            for number in range(batches + 1):
                wishes = [{"description": f"task {n}", "metadata": {"n": n}} for n in range(tasks)]
                content = json.dumps({"tasks": wishes})
                start = time.perf_counter()
                answer = http.post("/api/tasks/batch", content=content)
                seconds = time.perf_counter() - start
                assert answer.status_code == 200, answer.text
                assert all(item["code"] == 201 for item in answer.json()["items"])
                if number:  # the first warms everything up
                    found.append(seconds)
    return found


def bare_row_rate(folder: Path, *, rows: int, seconds: float) -> float:
    """Rows a second without any hub, so many in one synced commit."""
    return commits_a_second(folder, "full", rows, seconds) * rows
