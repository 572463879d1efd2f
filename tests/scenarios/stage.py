"""The stage of the scenarios: three shops on loopback, people in their admins, and ordersync between them.

asia is a SHOPLINE shop, office a Medusa, web a headless one. A story reads: place a sale in some of them, let people
do things, let time pass, `sync`, then look at the platforms' own lists. Amounts are US dollars as a person writes
them. Time is the stage's: it stands still except for a moment before each thing that happens, and `wait`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from tests.scenarios.fake_shop import FakeClock
from tests.scenarios.shop_admins import Admin, Paid, Placing, admin_of

from ordersync.bootstrap import build_shop, sandbox_of
from ordersync.cli.sandbox import SHOPS
from ordersync.config import Config, load_config
from ordersync.connector import load
from ordersync.engine.apply import Applier, ApplyReport
from ordersync.engine.explain import explain
from ordersync.engine.linking import link_by_rules
from ordersync.engine.look import decide_link, make_plan
from ordersync.engine.pull import pull
from ordersync.engine.resolving import Reply, Resolved, Resolver
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shop
from ordersync.engine.sweep import sweep
from ordersync.model import Action, ActionState, Decision, Hold, LinkOrigin, OrderRef, Verb
from ordersync.reconcile import KindPolicy, Limits, Policy
from ordersync.reconcile.rules import LinkRule
from ordersync.store import Store, StoredHold
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, SandboxServer

NAMES = ("asia", "office", "web")
PAIRS = (("asia", "office"), ("office", "web"), ("web", "asia"))
BOTH_WAYS = (*PAIRS, *((other, one) for one, other in PAIRS))
PURSES = tuple((*pair, pair[place % 2]) for place, pair in enumerate(BOTH_WAYS))
"""(here, there, who pays the buyer): every pair both ways, the purse now here and now there."""
EVERYONE = KindPolicy(sources="any")
POLICY = Policy(cancel=EVERYONE, refund=EVERYONE, fulfill=EVERYONE)
"""Every shop's word counts; a write that pays a buyer waits ten minutes, as it does for a merchant."""
HUNDRED = (SaleLine("TEE-M", "T-Shirt", 2, 3000), SaleLine("LAMP-01", "Desk Lamp", 1, 4000))
"""The usual sale: two shirts at 30.00 and a lamp at 40.00."""
MOMENT = timedelta(seconds=2)
"""Between one thing that happens and the next; a double click takes no longer."""
DATABASE, LOG = "ordersync.db", "sent.log"
_WENT_WRONG = ("failed", "failure", "error")
_READS = ("/transactions/query.json",)
"""Asked with POST all the same."""


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale and the orders it is: `orders` by shop, in the order they were placed."""

    number: int
    orders: Mapping[str, OrderRef]
    pays: tuple[str, ...]
    """Shops whose refunds give the buyer money; in the others they only mark."""


@dataclass
class Stage:
    folder: Path
    clock: FakeClock
    store: Store
    shops: dict[str, Shop]
    admins: dict[str, Admin]
    log: SentLog
    limits: Limits
    config: Config
    policy: Policy = POLICY
    names: dict[OrderRef, str] = field(default_factory=dict)
    """Orders by the name of their shop; a second one there is `office#2`."""
    numbers: int = 1000

    # Given: sales.

    def sale(
        self,
        *shops: str,
        pays: str | Sequence[str] = (),
        lines: tuple[SaleLine, ...] = HUNDRED,
        tax: Mapping[str, str] | None = None,
        payments: Mapping[str, Sequence[str]] | None = None,
        unpaid: Sequence[str] = (),
        references: Mapping[str, Mapping[str, str]] | None = None,
        linked: bool = True,
    ) -> Sale:
        """The same sale in these shops, linked by hand and found to agree.

        Each of these is by shop: `tax` in percent on top, `payments` as amounts ("60.00", or "40.00 manual" with the
        provider), `references` that a merchant or buyer wrote into the order.
        """
        self.numbers += 1
        self.clock.now += MOMENT
        paying = (pays,) if isinstance(pays, str) else tuple(pays)
        orders: dict[str, OrderRef] = {}
        for shop in shops:
            admin = self.admins[shop]
            provider = admin.own_payment if shop in paying else admin.books
            spec = SaleSpec(
                number=self.numbers,
                email="kim@example.com",
                currency="USD",
                lines=lines,
                shipping_minor=0,
                placed_at=self.clock(),
                paid=shop not in unpaid,
                provider=provider,
                references=dict((references or {}).get(shop, {})),
            )
            paid = tuple(_paid(text, provider) for text in (payments or {}).get(shop, ()))
            order_id = admin.place(Placing(spec, Decimal((tax or {}).get(shop, "0")), paid))
            orders[shop] = self.named(OrderRef(shop, order_id))
        made = Sale(self.numbers, orders, paying)
        self.pull()
        if linked:
            self.link(*orders.values())
            assert self.plan() == []
        return made

    def named(self, ref: OrderRef) -> OrderRef:
        others = sum(1 for known in self.names if known.shop == ref.shop)
        self.names[ref] = ref.shop if not others else f"{ref.shop}#{others + 1}"
        return ref

    def link(self, *refs: OrderRef) -> str:
        return self.store.add_link(refs, LinkOrigin.HAND, None, self.clock()).link_id

    # What people do in the shops.

    def refund(self, shop: str, sale: Sale, amount: str, why: str = "damaged", **units: int) -> None:
        """`units` by sku, for a refund of line items: TEE_M=1."""
        self.clock.now += MOMENT
        self.admins[shop].refund(sale.orders[shop].order_id, Decimal(amount), why, _skus(units))

    def cancel(self, shop: str, sale: Sale, why: str = "changed mind") -> None:
        self.clock.now += MOMENT
        self.admins[shop].cancel(sale.orders[shop].order_id, why)

    def ship(self, shop: str, sale: Sale, tracking: str = "", **units: int) -> str:
        """Everything that is left, or units by sku; returns the parcel's id."""
        self.clock.now += MOMENT
        return self.admins[shop].ship(sale.orders[shop].order_id, _skus(units), tracking)

    def cancel_parcel(self, shop: str, sale: Sale, parcel_id: str) -> None:
        self.clock.now += MOMENT
        self.admins[shop].cancel_parcel(sale.orders[shop].order_id, parcel_id)

    def mark_paid(self, shop: str, sale: Sale) -> None:
        self.clock.now += MOMENT
        self.admins[shop].mark_paid(sale.orders[shop].order_id)

    def silence(self, shop: str) -> None:
        """The shop closes every connection without an answer, until `speak`."""
        self.admins[shop].box.add_fault(Fault("cut_before", times=1_000_000))

    def speak(self, shop: str) -> None:
        self.admins[shop].box.clear_faults()

    def photo(self, shop: str) -> Any:
        """What this shop shows now."""
        return self.admins[shop].box.copy_visible_state()

    def show_only(self, shop: str, photo: Any) -> None:
        """Until `show_all` the shop answers reads as on the photo; what is written there happens all the same."""
        box = self.admins[shop].box
        with box.lock:
            box._late_state, box._late_until = photo, float("inf")

    def show_all(self, shop: str) -> None:
        box = self.admins[shop].box
        with box.lock:
            box._late_state = None

    def lose_database(self, *, log_too: bool = False) -> None:
        """The file is gone and a new one begins now; the log of what was sent lies beside it, or is lost as well."""
        self.store.close()
        for path in [*self.folder.glob(f"{DATABASE}*"), *([self.folder / LOG] if log_too else [])]:
            path.unlink(missing_ok=True)
        self.log = SentLog(self.folder / LOG)
        self.store = Store.open(f"sqlite:///{self.folder / DATABASE}", now=self.clock())

    def allow(self, shop: str, *writes: str) -> None:
        """The merchant edits `allow` of a shop; none: everything its platform can do."""
        chosen = self.config.settings.shops[shop].model_copy(update={"allow": writes or None})
        shops = {**self.config.settings.shops, shop: chosen}
        self.config = replace(self.config, settings=self.config.settings.model_copy(update={"shops": shops}))
        self.shops[shop].connector.close()
        self.shops[shop] = build_shop(self.config, shop)

    def unlink(self, sale: Sale) -> None:
        link = self.store.link_of(next(iter(sale.orders.values())))
        assert link is not None
        self.store.remove_link(link.link_id, self.clock())

    def wait(self, **time: float) -> None:
        self.clock.forward(**time)

    def answer(
        self, code: str, verb: Verb, why: str = "agreed with the shop", about: str = "", **more: Any
    ) -> Resolved:
        """A person answers the oldest open hold of this code whose message says `about`."""
        resolver = Resolver(self.store, self.shops, self.policy, self.limits, self.log, self.clock)
        return resolver.resolve(self._hold(code, about).number, Reply(verb, "kim", **{"why": why, **more}))

    # What ordersync does.

    def follow(self, *rules: LinkRule) -> list[str]:
        """Pull, then link by rule; the links there are then, orders called by their shops."""
        self.pull()
        link_by_rules(self.store, rules, self.clock())
        return [self.plain(" ".join(str(ref) for ref in link.members)) for link in self.store.links()]

    def pull(self) -> None:
        self.clock.now += MOMENT
        for shop in self.shops.values():
            pull(self.store, shop, read_from=self.store.birth_at - timedelta(days=30), now=self.clock())

    def sweep(self) -> None:
        """Read every linked order by its id, as it is done once a day."""
        self.clock.now += MOMENT
        for shop in self.shops.values():
            sweep(self.store, shop)

    def plan(self) -> list[str]:
        """What would be written, in words; nothing is written."""
        before = self.sent()
        made = make_plan(self.store, self.shops, self.policy, self.clock())
        assert self.sent() == before, "a plan writes nothing"
        return [self.told(action) for decision in made.decisions for action in decision.actions]

    def apply(self) -> ApplyReport:
        return Applier(self.store, self.shops, self.policy, self.limits, self.log, self.clock).run()

    def sync(self) -> list[str]:
        """Pull, plan, apply, pull and plan again: what was written. All of it was read back, and nothing is left."""
        self.pull()
        planned = self.plan()
        report = self.apply()
        assert [(self.told(r.action), r.said) for r in report.results if r.state is not ActionState.SEEN] == []
        assert report.left == []
        done = [self.told(result.action) for result in report.results]
        assert not Counter(planned) - Counter(done), "what was planned was done"
        self.pull()
        assert self.plan() == [], "after an apply nothing is left to write"
        return done

    # The platforms' own lists.

    def refunds(self, sale: Sale) -> dict[str, list[str]]:
        """Every refund that moved or will move money, by shop, oldest first."""
        return {
            shop: [
                _dollars(row[2])
                for row in self.admins[shop].box.own_refunds()
                if row[0] == ref.order_id and row[2] > 0 and row[4] not in _WENT_WRONG
            ]
            for shop, ref in sale.orders.items()
        }

    def to_buyer(self, sale: Sale) -> str:
        """What the buyer was given back, over all shops."""
        given = [Decimal(text) for shop, rows in self.refunds(sale).items() if shop in sale.pays for text in rows]
        return f"{sum(given, Decimal('0.00')):.2f}"

    def cancelled(self, sale: Sale) -> list[str]:
        """Shops that show the order as cancelled."""
        return [
            shop
            for shop, ref in sale.orders.items()
            for row in self.admins[shop].box.own_cancels()
            if row[0] == ref.order_id
        ]

    def shipped(self, sale: Sale) -> dict[str, int]:
        """Units that left, by shop."""
        return {
            shop: sum(
                sum(row[3].values())
                for row in self.admins[shop].box.own_parcels()
                if row[0] == ref.order_id and row[2] in ("shipped", "delivered")
            )
            for shop, ref in sale.orders.items()
        }

    def sent(self) -> list[str]:
        """Every write that ordersync ever sent: shop, method and path. People here use no HTTP."""
        return [
            f"{shop} {request.method} {request.path}"
            for shop, admin in self.admins.items()
            for request in admin.box.requests()
            if request.method != "GET" and not request.path.endswith(_READS)
        ]

    # What ordersync says.

    def codes(self) -> list[str]:
        """Codes of all open holds."""
        return sorted(stored.hold.code for stored in self.store.holds())

    def hold(self, code: str, about: str = "") -> Hold:
        """The oldest open hold of this code whose message says `about`, orders called by their shops."""
        found = self._hold(code, about).hold
        said = [self.plain(text) for text in found.evidence]
        return found.model_copy(update={"message": self.plain(found.message), "evidence": tuple(said)})

    def decision(self, sale: Sale) -> Decision:
        link = self.store.link_of(next(iter(sale.orders.values())))
        assert link is not None
        return decide_link(self.store, self.shops, link, self.policy, self.clock())

    def waits(self, sale: Sale) -> list[str]:
        return [f"{wait.target.shop} {wait.code}" for wait in self.decision(sale).waits]

    def ledger(self, sale: Sale) -> list[str]:
        """One line per fact: "refund 20.00 USD: asia present, office owed"."""
        return [
            f"{row.fact.kind} {row.fact.amount or ''}".rstrip()
            + ": "
            + ", ".join(f"{self.plain(str(cell.member))} {cell.state}" for cell in row.cells)
            for row in self.decision(sale).ledger.rows
        ]

    def explain(self, sale: Sale) -> str:
        """What `orders explain` has to tell, line by line, orders called by their shops."""
        ref = next(iter(sale.orders.values()))
        found = explain(self.store, self.shops, self.policy, ref, self.clock())
        told = [event.what for event in found.events]
        told += [f"held {one.hold.code}: {one.hold.message}" for one in found.open_holds]
        if found.decision is not None:
            told += [f"waits {one.target} {one.code}: {one.message}" for one in found.decision.waits]
            told += [f"skipped: {one}" for one in found.decision.skipped]
        return self.plain("\n".join(told))

    def told(self, action: Action) -> str:
        """ "refund office 20.00 USD TO BUYER"."""
        parts = [action.kind.value, self.plain(str(action.target)), str(action.amount or "")]
        return " ".join([part for part in parts if part] + (["TO BUYER"] if action.pays_buyer else []))

    def plain(self, text: str) -> str:
        for ref, name in self.names.items():
            text = text.replace(str(ref), name)
        return text

    def _hold(self, code: str, about: str = "") -> StoredHold:
        found = [
            stored
            for stored in self.store.holds()
            if stored.hold.code == code and about in self.plain(stored.hold.message)
        ]
        assert found, f"no {code} about {about!r} among {self.codes()}"
        return found[0]


@contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """Sixty days ago, so that days may pass and nothing is dated ahead of the machine's own clock."""
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))
    boxes = {
        spec.name: sandbox_of(spec.connector)(now=clock, **spec.options) for spec in SHOPS if spec.name in NAMES
    }
    servers: dict[str, SandboxServer] = {}
    shops: dict[str, Shop] = {}
    store = Store.open(f"sqlite:///{folder / DATABASE}", now=clock())
    try:
        servers |= {name: SandboxServer(box).start() for name, box in boxes.items()}
        admins = {name: admin_of(box) for name, box in boxes.items()}
        config = load_config(_write_config(folder, admins, servers))
        shops |= {name: _built(config, name) for name in NAMES}
        stage = Stage(
            folder, clock, store, shops, admins, SentLog(folder / LOG), config.settings.to_limits(), config
        )
        try:
            yield stage
        finally:
            stage.store.close()
    finally:
        for shop in shops.values():
            shop.connector.close()
        store.close()
        for server in servers.values():
            server.stop()


_MAPPED: dict[str, Shop] = {}
"""Reading a mapping takes longer than a story; it is the same in all of them."""


def _built(config: Config, name: str) -> Shop:
    if name not in _MAPPED:
        _MAPPED[name] = build_shop(config, name)
        return _MAPPED[name]
    settings = config.settings.shops[name]
    return replace(_MAPPED[name], connector=load(settings.connector)(name, settings))


def _write_config(folder: Path, admins: Mapping[str, Admin], servers: Mapping[str, SandboxServer]) -> Path:
    wide = {"cancel": 20, "refund": 40, "refund_value": ["5000 USD"]}
    settings = {
        "shops": {
            name: {
                **admin.box.settings_for(servers[name]),
                "rate": "500/s",
                "books_only": [admin.books],
            }
            for name, admin in admins.items()
        },
        "limits": {"run": wide, "day": wide},
    }
    file = folder / "ordersync.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def _paid(text: str, provider: str) -> Paid:
    amount, _, other = text.partition(" ")
    return Paid(int(Decimal(amount) * 100), other or provider)


def _skus(units: Mapping[str, int]) -> dict[str, int]:
    return {name.replace("_", "-"): count for name, count in units.items()}


def _dollars(minor: int) -> str:
    return f"{Decimal(minor) / 100:.2f}"
