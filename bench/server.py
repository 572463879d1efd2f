"""A SHOPLINE-shaped list of orders, built once and served as fast as Python can: the platform costs almost nothing.

Run as its own process: `python -m bench.server COUNT` prints one JSON line (base_url, since, until, bytes) and serves
until it is stopped. Windows, counts, archived filter, limit and Link header are answered truthfully.
"""

from __future__ import annotations

import bisect
import json
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

TEMPLATE = Path(__file__).resolve().parents[1] / "tests/payloads/shopline/order_paid_unfulfilled.json"
STEP_S = 6
"""An order is touched every so many seconds."""
BASE_PATH = "/admin/openapi/v20250601"


def build_orders(count: int, first_at: datetime) -> list[bytes]:
    """`count` orders of about 9.6 KB of compact JSON, oldest change first; no two are equal."""
    template = json.loads(TEMPLATE.read_bytes())
    built: list[bytes] = []
    for number in range(count):
        at = (first_at + timedelta(seconds=number * STEP_S)).isoformat(timespec="seconds")
        order = {
            **template,
            "id": f"21{number:024d}",
            "name": f"{1000 + number}",
            "created_at": at,
            "order_at": at,
            "processed_at": at,
            "updated_at": at,
            "order_note": f"order number {number}",
        }
        built.append(json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode())
    return built


class Orders:
    def __init__(self, count: int) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.since = now - timedelta(seconds=count * STEP_S + 3600)
        self.until = self.since + timedelta(seconds=count * STEP_S)
        self.rows = build_orders(count, self.since)
        self.times = [int(self.since.timestamp()) + number * STEP_S for number in range(count)]

    def between(self, arguments: dict[str, list[str]]) -> tuple[int, int]:
        """Places [first, last) of the orders in the asked window, both of its ends inclusive."""
        first, last = 0, len(self.rows)
        if "updated_at_min" in arguments:
            first = bisect.bisect_left(self.times, _seconds(arguments["updated_at_min"][0]))
        if "updated_at_max" in arguments:
            last = bisect.bisect_right(self.times, _seconds(arguments["updated_at_max"][0]))
        return first, max(first, last)


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class Handler(BaseHTTPRequestHandler):
    orders: ClassVar[Orders]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # http.server looks this name up
        asked = urlsplit(self.path)
        arguments = parse_qs(asked.query)
        first, last = self._range(arguments)
        if asked.path.endswith("/orders/count.json"):
            hidden = arguments.get("status") == ["hidden"]
            self._send(json.dumps({"count": 0 if hidden else last - first}).encode(), None)
            return
        limit = int(arguments.get("limit", ["50"])[0])
        if arguments.get("hidden_order") == ["true"]:
            first = last
        rows = self.orders.rows[first : min(last, first + limit)]
        host = self.headers["Host"]
        more = f"http://{host}{BASE_PATH}/orders.json?limit={limit}&page_info={first + limit}-{last}"
        self._send(b'{"orders":[' + b",".join(rows) + b"]}", more if last - first > limit else None)

    def _range(self, arguments: dict[str, list[str]]) -> tuple[int, int]:
        if "page_info" in arguments:
            first, _, last = arguments["page_info"][0].partition("-")
            return int(first), int(last)
        return self.orders.between(arguments)

    def _send(self, body: bytes, next_url: str | None) -> None:
        self.send_response_only(200)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if next_url:
            self.send_header("Link", f'<{next_url}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Quiet: a log line per request would be measured too."""


def main() -> None:
    orders = Orders(int(sys.argv[1]))
    handler = type("BoundHandler", (Handler,), {"orders": orders})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    facts = {
        "base_url": f"http://127.0.0.1:{server.server_address[1]}{BASE_PATH}",
        "since": orders.since.isoformat(),
        "until": orders.until.isoformat(),
        "bytes": sum(map(len, orders.rows)),
    }
    print(json.dumps(facts), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
