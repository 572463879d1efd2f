"""A store of any size, as reading, linking and planning the same orders would leave it, built in minutes.

Some dozens of sales on two sandbox shops (SHOPLINE and Medusa) are really read, linked and planned. Each of their
rows is then copied with other ids and numbers, as text: the payload, the canonical order, its fingerprint and digest,
traits, references, link, members and ledger. A test proves that the copies are what the real road makes of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ordersync.bootstrap import build_shop, open_store
from ordersync.cli.sandbox import SHOPS, make_sandbox
from ordersync.config import Config, load_config
from ordersync.connector import CanPack, CanShip, LineQuantity, PackRequest, ShipRequest
from ordersync.engine.linking import link_by_rules
from ordersync.engine.look import make_plan
from ordersync.engine.pull import pull
from ordersync.engine.shops import Shop
from ordersync.model import FactKind, LedgerRow, Link, Order, OrderRef, fact_id_of
from ordersync.store import Store
from ordersync.store.document import compress, digest, fingerprint
from ordersync.store.tables import instant_text
from ordersync.testing.sales import sales
from ordersync.testing.sandbox import SandboxServer
from ordersync.testing.story import BOOKS_ONLY, PROVIDERS, Admin

NAMES = ("asia", "office")
SALES = 40
FIRST_NUMBER = 1_000_000
ID, NUMBER, SALE, FACT = "@@ID@@", "@@NUMBER@@", "@@SALE@@", "@@FACT{}@@"
REFUNDED, CANCELLED, SHIPPED = (4, 9), (14,), (19, 24, 29)
"""Places of the sales that were refunded, cancelled and shipped, on both shops alike."""
BATCH = 2_000
READ_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ids:
    """What one copy of a sale is called on each shop."""

    sale: int

    @property
    def number(self) -> dict[str, str]:
        return {"asia": str(FIRST_NUMBER + self.sale), "office": str(self.sale + 1)}

    @property
    def order_id(self) -> dict[str, str]:
        return {"asia": f"21{self.sale:024d}", "office": f"order_{self.sale:026d}"}


@dataclass(frozen=True, slots=True)
class OrderTemplate:
    shop: str
    columns: dict[str, Any]
    """The row of `orders` without what differs from copy to copy."""
    canonical: str
    payload: str
    traits: tuple[Any, ...]
    references: tuple[tuple[str, str], ...]

    def said(self, text: str, ids: Ids) -> str:
        return (
            text.replace(ID, ids.order_id[self.shop])
            .replace(NUMBER, ids.number[self.shop])
            .replace(SALE, ids.number["asia"])
        )


@dataclass(frozen=True, slots=True)
class SaleTemplate:
    orders: tuple[OrderTemplate, ...]
    link: dict[str, Any]
    rows: tuple[tuple[str, FactKind, str, str], ...]
    """Per ledger row: origin shop, kind, record id and the row as JSON."""


def write_config(folder: Path, settings: dict[str, dict[str, Any]]) -> Config:
    """The configuration of the two shops, beside its store."""
    wide = {"cancel": 100, "refund": 500, "refund_value": ["20000.00 USD"]}
    body = {
        "store": "sqlite:///ordersync.db",
        "read_from": "2026-01-01",
        "shops": settings,
        "links": [{"from": "office", "field": "metadata.external_id", "strip": "SL-", "to": "asia.number"}],
        "policy": {"cancel": {"from": "any"}, "refund": {"from": "any"}, "fulfill": {"from": "any"}},
        "limits": {"run": wide, "day": wide},
    }
    path = folder / "ordersync.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    path.chmod(0o600)
    return load_config(path)


def read_templates(folder: Path) -> tuple[Config, list[SaleTemplate]]:
    """Sell on two sandboxes, let things happen on both alike, read, link, plan: what is then stored is copied."""
    with ExitStack() as stack:
        boxes = {spec.name: make_sandbox(spec, seed=1) for spec in SHOPS if spec.name in NAMES}
        specs = list(sales(7, SALES, start=READ_AT - timedelta(days=60)))
        for name, box in boxes.items():
            for spec in specs:
                known = {"external_id": f"SL-{spec.number}"}
                box.add_sale(replace(spec, provider=PROVIDERS[name], references=known))
        servers = {name: stack.enter_context(SandboxServer(box)) for name, box in boxes.items()}
        config = write_config(
            folder,
            {
                name: {**box.settings_for(servers[name]), "rate": "500/s", "books_only": BOOKS_ONLY[name]}
                for name, box in boxes.items()
            },
        )
        shops = {name: build_shop(config, name) for name in NAMES}
        for shop in shops.values():
            stack.callback(shop.connector.close)
        with Store.open("sqlite://") as first:
            _read(first, shops)
            _let_things_happen(shops, {name: {int(_digits(o)): o for o in _orders(first, name)} for name in NAMES})
        with Store.open(f"sqlite:///{folder}/template.db") as store:
            _read(store, shops)
            link_by_rules(store, config.settings.to_rules(), datetime.now(UTC))
            plan = make_plan(store, shops, config.settings.to_policy(), datetime.now(UTC))
            assert (plan.links, plan.agree) == (SALES, SALES), "every sale of the benchmark agrees"
            return config, [_template(store, link) for link in store.links()]


def _read(store: Store, shops: dict[str, Shop]) -> None:
    for shop in shops.values():
        pull(store, shop, read_from=None, now=datetime.now(UTC))


def _orders(store: Store, shop: str) -> Iterator[Order]:
    return (stored.order for stored in store.orders(shop))


def _digits(order: Order) -> str:
    """The number of the sale an order is: asia's own, and the reference to it elsewhere."""
    text = order.references.get("external_id") or order.number or ""
    return "".join(filter(str.isdigit, text))


def _let_things_happen(shops: dict[str, Shop], orders: dict[str, dict[int, Order]]) -> None:
    admin = Admin({name: shop.connector for name, shop in shops.items()}, lambda shop, sale: orders[shop][sale])
    numbers = sorted(orders["asia"])
    for name in NAMES:
        for place in REFUNDED:
            admin.refund(name, numbers[place], 100 + place, "late")
        for place in SHIPPED:
            _ship(shops[name], orders[name][numbers[place]], f"SF{place}")
        for place in CANCELLED:
            total = orders[name][numbers[place]].totals.total
            assert total is not None
            admin.refund(name, numbers[place], total.amount_minor, "out of stock")
            admin.cancel(name, numbers[place], "out of stock")


def _ship(shop: Shop, order: Order, tracking: str) -> None:
    """Everything in one parcel, packed first where the platform wants it so."""
    lines = tuple(LineQuantity(line_item_id=x.id, quantity=x.quantity) for x in order.line_items or ())
    connector, parcel = shop.connector, None
    if isinstance(connector, CanPack):
        parcel = connector.pack(order.order_id, PackRequest(lines=lines), f"pack {tracking}").platform_ref
    assert isinstance(connector, CanShip)
    request = ShipRequest(fulfillment_id=parcel, lines=lines, carrier="SF", tracking_number=tracking)
    connector.ship(order.order_id, request, f"ship {tracking}")


def _template(store: Store, link: Link) -> SaleTemplate:
    orders = tuple(_order_template(store, ref) for ref in link.members)
    with store.db.read() as connection:
        row = connection.exec_driver_sql("SELECT * FROM links WHERE number = ?", (int(link.link_id[1:]),)).one()
    names = ("origin", "rule", "version", "clean_version", "waits", "skips")
    rows = tuple(
        (
            one.fact.origin.shop,
            one.fact.kind,
            one.fact.record_id,
            _anonymous(one, place).model_dump_json(),
        )
        for place, one in enumerate(store.ledger(link.link_id).rows)
    )
    return SaleTemplate(orders, {name: row._mapping[name] for name in names}, rows)


def _anonymous(row: LedgerRow, place: int) -> LedgerRow:
    """The row with placeholders: `@@ID@@asia` for asia's order, and for the fact's id."""
    fact = row.fact.model_copy(update={"fact_id": FACT.format(place), "origin": _nobody(row.fact.origin)})
    cells = tuple(cell.model_copy(update={"member": _nobody(cell.member)}) for cell in row.cells)
    return LedgerRow(fact=fact, cells=cells)


def _nobody(ref: OrderRef) -> OrderRef:
    return OrderRef(ref.shop, ID + ref.shop)


def _order_template(store: Store, ref: OrderRef) -> OrderTemplate:
    stored, raw = store.order(ref), store.raw(ref)
    assert stored is not None
    assert raw is not None
    sale = _digits(stored.order)
    references = {
        name: text.replace(sale, SALE) if name == "external_id" else text
        for name, text in stored.order.references.items()
    }
    order = stored.order.model_copy(update={"order_id": ID, "number": NUMBER, "references": references})
    with store.db.read() as connection:
        key = (ref.shop, ref.order_id)
        row = (
            connection.exec_driver_sql("SELECT * FROM orders WHERE shop = ? AND order_id = ?", key).one()._mapping
        )
        traits = connection.exec_driver_sql(
            "SELECT * FROM order_traits WHERE shop = ? AND order_id = ?", key
        ).one()
        texts = connection.exec_driver_sql(
            "SELECT field, value FROM order_references WHERE shop = ? AND order_id = ?", key
        ).all()
    return OrderTemplate(
        shop=ref.shop,
        columns={name: row[name] for name in ("is_open", "refund_pending", "mapping_version")},
        canonical=order.model_dump_json(),
        payload=_payload_template(ref.shop, raw, sale),
        traits=tuple(traits)[2:],
        references=tuple((field, value.replace(sale, SALE)) for field, value in texts),
    )


def _payload_template(shop: str, raw: bytes, sale: str) -> str:
    """The payload with placeholders where the platform says the order's id, its number and the sale's reference."""
    payload, text = json.loads(raw), raw.decode()
    name = {"asia": "name", "office": "display_id"}[shop]
    number = payload[name]
    for old, new in (
        (f'"id":"{payload["id"]}"', f'"id":"{ID}"'),
        (f'"{name}":{json.dumps(number)}', f'"{name}":' + (f'"{NUMBER}"' if isinstance(number, str) else NUMBER)),
        (f'"SL-{sale}"', f'"SL-{SALE}"'),
    ):
        assert old in text, f"the payload of {shop} does not say {old}"
        text = text.replace(old, new)
    return text


def build(folder: Path, count: int) -> Config:
    """`count` linked sales of two orders each in `folder`, all settled; some 2,000 orders a second."""
    config, templates = read_templates(folder)
    open_store(config).close()
    path = folder / "ordersync.db"
    with sqlite3.connect(path) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
            connection.execute(f"PRAGMA {pragma}")
        _copy_state(connection, folder / "template.db")
        for start in range(0, count, BATCH):
            write(connection, templates, range(start, min(start + BATCH, count)))
    connection.close()
    return config


def _copy_state(connection: sqlite3.Connection, template: Path) -> None:
    """What the first plan left besides orders and links: feed positions, and under which rules it decided."""
    connection.execute("ATTACH ? AS template", (str(template),))
    for table in ("feeds", "passes", "meta"):
        connection.execute(f"DELETE FROM main.{table}")  # noqa: S608  # one of three names above
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM template.{table}")  # noqa: S608  # the same
    connection.execute("UPDATE main.meta SET value = ? WHERE key = 'birth_at'", (instant_text(READ_AT),))
    connection.commit()
    connection.execute("DETACH template")


def write(connection: sqlite3.Connection, templates: Sequence[SaleTemplate], sales_wanted: range) -> None:
    """The rows of these copies, in one transaction."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _INSERTS}
    for sale in sales_wanted:
        _write_sale(templates[sale % len(templates)], Ids(sale), rows)
    for table, statement in _INSERTS.items():
        connection.executemany(statement, rows[table])
    connection.commit()


_INSERTS = {
    "orders": "INSERT INTO orders (shop, order_id, number, is_open, refund_pending, fingerprint, raw_digest, "
    "mapping_version, sent_at, first_seen_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "documents": "INSERT INTO order_documents (shop, order_id, canonical, raw) VALUES (?, ?, ?, ?)",
    "traits": "INSERT INTO order_traits (shop, order_id, currency, charged, charged_currency, items, placed, buyer, "
    "phone, draft) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "references": "INSERT INTO order_references (shop, order_id, field, value) VALUES (?, ?, ?, ?)",
    "links": "INSERT INTO links (number, members, origin, rule, made_at, version, clean_version, waits, skips) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "members": "INSERT INTO link_members (shop, order_id, link) VALUES (?, ?, ?)",
    "ledger": "INSERT INTO ledger (link, fact_id, position, row) VALUES (?, ?, ?, ?)",
}


def _write_sale(template: SaleTemplate, ids: Ids, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    number, at = ids.sale + 1, instant_text(READ_AT)
    members = [[one.shop, ids.order_id[one.shop]] for one in template.orders]
    for one in template.orders:
        key = (one.shop, ids.order_id[one.shop])
        canonical = one.said(one.canonical, ids)
        payload = one.said(one.payload, ids).encode()
        about = (one.columns["is_open"], one.columns["refund_pending"], fingerprint(canonical), digest(payload))
        rows["orders"].append((*key, ids.number[one.shop], *about, one.columns["mapping_version"], at, at, at))
        rows["documents"].append((*key, canonical, compress(payload)))
        rows["traits"].append((*key, *one.traits))
        rows["references"] += [(*key, field, one.said(value, ids)) for field, value in one.references]
        rows["members"].append((*key, number))
    link = template.link
    rows["links"].append(
        (
            number,
            json.dumps(members),
            *(link[name] for name in ("origin", "rule")),
            at,
            *(link[name] for name in ("version", "clean_version", "waits", "skips")),
        )
    )
    for position, (shop, kind, record_id, text) in enumerate(template.rows):
        fact_id = fact_id_of(OrderRef(shop, ids.order_id[shop]), kind, record_id)
        for name, order_id in ids.order_id.items():
            text = text.replace(ID + name, order_id)
        rows["ledger"].append((number, fact_id, position, text.replace(FACT.format(position), fact_id)))
