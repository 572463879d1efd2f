"""Two shops of one merchant: a SHOPLINE sandbox that holds the buyers' money, and the real Medusa that keeps books.

Each sale stands in both, linked; `ordersync` runs as the installed program with a store of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from ordersync_connectors.shopline.sandbox import ShoplineSandbox
from tests.aged import dated_back
from tests.e2e.cli_process import Cli, Ended
from tests.live.back_office import BackOffice
from tests.live.turnstile import Turnstile

from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import SandboxServer

PRICE_MINOR = 3245
_NUMBERS = itertools.count(7001)
_LIMITS = {"cancel": 50, "refund": 50, "refund_value": ["5000 USD"]}
POLICY = {
    "cancel": {"from": "any", "carry_after": "0s"},
    "refund": {"from": ["asia"], "carry_after": "0s"},
    "fulfill": {"from": "none"},
    "progress": {"from": "none"},
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One sale: its order at SHOPLINE and its order at Medusa."""

    asia: str
    office: str


@dataclass(slots=True)
class Street:
    asia: ShoplineSandbox
    office: BackOffice
    door: Turnstile
    """What stands between ordersync and Medusa; the staff have their own."""
    cli: Cli
    folder: Path
    _files: Iterator[int] = field(default_factory=itertools.count)

    def sale(self) -> Pair:
        """Placed and paid in both shops, read, and linked; nothing to do."""
        number = next(_NUMBERS)
        asia = self.sale_at_asia(number)
        line = {"title": "Mug", "variant_sku": "MUG-01", "quantity": 1, "unit_price": PRICE_MINOR / 100}
        office = self.office.mirror("usd", [line], f"SL-{number}")
        self.office.mark_paid(office)
        self.read()
        self.cli.ok("links", "add", f"asia:{asia}", f"office:{office}")
        self.door.forget()
        return Pair(asia, office)

    def sale_at_asia(self, number: int | None = None) -> str:
        """The order id of a paid sale that stands only there."""
        spec = SaleSpec(
            number=next(_NUMBERS) if number is None else number,
            email="buyer@example.com",
            currency="USD",
            lines=(SaleLine("MUG-01", "Mug", 1, PRICE_MINOR),),
            shipping_minor=0,
            placed_at=datetime.now(UTC).replace(microsecond=0),
            provider="SLpayments",
        )
        return self.asia.add_sale(spec)

    def cli_of_its_own(self, folder: Path) -> Cli:
        """The same shops and an empty store that reads them from their first day."""
        assert self.cli.config is not None
        body = yaml.safe_load(self.cli.config.read_text())
        del body["read_from"]
        path = folder / "ordersync.yaml"
        path.write_text(yaml.safe_dump(body))
        path.chmod(0o600)
        return Cli(path, folder, self.cli.secrets)

    def read(self) -> None:
        self.cli.ok("pull")

    def read_past(self) -> None:
        """Read until what happened so far lies behind the feeds: the next pull lists none of it again."""
        time.sleep(1.1)
        self.read()

    def refunded(self, amount_minor: int) -> Pair:
        """A sale of which part was then refunded at SHOPLINE: one refund is due at Medusa."""
        pair = self.sale()
        self.asia.refund(pair.asia, amount_minor)
        self.read()
        [due] = self.planned(pair)
        assert (due["kind"], due["amount"]["amount_minor"]) == ("refund", amount_minor)
        return pair

    def planned(self, pair: Pair) -> list[dict[str, Any]]:
        writes = self.cli("plan", "--json").json["writes"]
        return [one for one in writes if one["target"]["order_id"] in (pair.asia, pair.office)]

    def plan_file(self) -> str:
        path = str(self.folder / f"plan-{next(self._files)}.json")
        self.cli("plan", "--out", path)
        return path

    def apply(self, *arguments: str) -> Ended:
        """The installed program, as a process."""
        return self.cli.real("apply", "--json", *arguments)

    def date_doubts_back(self) -> None:
        """As if minutes had passed since what is in doubt was sent, and it had been looked for once."""
        dated_back(self.folder / "own.db")

    def apply_again(self) -> Ended:
        """The same command without the second a process needs to start."""
        return self.cli("apply", "--json")

    def writes(self, ended: Ended, pair: Pair) -> list[tuple[str, str]]:
        """(kind, state) of each write of a run to the pair."""
        return [
            (one["kind"], one["state"])
            for one in ended.json["writes"]
            if one["target"]["order_id"] in (pair.asia, pair.office)
        ]

    def holds(self, pair: Pair) -> set[str]:
        """Reasons of the open holds about the pair."""
        open_now = self.cli.ok("holds", "list", "--json").json["holds"]
        return {
            one["code"] for one in open_now if (one["target"] or {}).get("order_id") in (pair.asia, pair.office)
        }

    def amounts(self, pair: Pair) -> list[int]:
        """Refund records at Medusa as its staff sees them, in cents."""
        return [round(row["amount"] * 100) for row in self.office.refunds(pair.office)]

    def notes(self, pair: Pair) -> list[str | None]:
        return [row["note"] for row in self.office.refunds(pair.office)]

    def money_calls(self) -> list[int | None]:
        """Status of every refund and cancel that ordersync sent to Medusa."""
        return [one.status for one in self.door.sent("POST", r"/(refund|cancel)$")]


@contextmanager
def street(office: BackOffice, folder: Path, *, overlap: str = "5s") -> Iterator[Street]:
    asia = ShoplineSandbox()
    with SandboxServer(asia) as server, Turnstile(office.server.origin) as door:
        medusa = {"connector": "medusa", "base_url": door.origin, "token": office.opened.key}
        settings = {
            "store": "sqlite:///own.db",
            "read_from": datetime.now(UTC).isoformat(timespec="seconds"),
            "writes": True,
            "shops": {
                "asia": {**asia.settings_for(server), "books_only": ["COD", "CUSTOM"]},
                "office": {**medusa, "books_only": ["pp_system_default"], "rate": "100/s", "overlap": overlap},
            },
            "policy": POLICY,
            "limits": {"run": _LIMITS, "day": _LIMITS},
        }
        config = folder / "ordersync.yaml"
        config.write_text(yaml.safe_dump(settings))
        config.chmod(0o600)
        cli = Cli(config, folder, frozenset({office.opened.key, asia.token}))
        cli.ok("pull")
        # What is dated in the second in which the database was born counts as older than it.
        time.sleep(1.1)
        yield Street(asia, office, door, cli, folder)
