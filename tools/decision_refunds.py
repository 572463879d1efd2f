"""The decision table's lines about refunds, and about captures as their bound."""

from __future__ import annotations

from typing import Any

from tools.decision_looks import (
    QUIET,
    Side,
    Situation,
    answered,
    look,
    other_goods,
    policy_of,
    side,
    tried,
    without,
)

from ordersync.model import ActionState, FactKind, OrderRef, Purse, RefundState, Verb, fact_id_of, token_of
from ordersync.testing.orders import R, build_order, usd

PAYS = Purse.GATEWAY
PENDING, FAILED = RefundState.PENDING, RefundState.FAILED
DAY = 24 * 60
SUM = "a refund of 12.50"
MARK = token_of(fact_id_of(OrderRef("A", "1"), FactKind.REFUND, "r1"))
"""What ordersync writes into the note of its copies of A's refund r1."""


def r(amount: int = 1_250, name: str = "r1", state: RefundState = RefundState.COMPLETED, ago: int = 30) -> R:
    return R(name, amount, state, ago)


def copy(amount: int = 1_250, name: str = "c1", state: RefundState = RefundState.COMPLETED) -> R:
    return R(name, amount, state, 20, note=f"refund of A {MARK}")


def a(*refunds: R, **order: Any) -> Side:
    return side("A", refunds=refunds, **order)


def b(*refunds: R, **order: Any) -> Side:
    return side("B", refunds=refunds, **order)


def c(*refunds: R, **order: Any) -> Side:
    return side("C", refunds=refunds, **order)


def one_side() -> list[Situation]:
    undated = build_order("A", refunds=[r()])
    [record] = undated.refunds or ()
    no_date = Side("A", undated.model_copy(update={"refunds": (record.model_copy(update={"created_at": None}),)}))
    return [
        Situation(SUM, "A, which pays; B only marks", look(a(r(), purse=PAYS), b())),
        Situation(SUM, "A, which only marks; B pays", look(a(r()), b(purse=PAYS))),
        Situation(SUM, "A; both only mark", look(a(r()), b())),
        Situation(SUM, "A; both would pay", look(a(r(), purse=PAYS), b(purse=PAYS))),
        Situation(
            SUM, "A, whose word does not count", look(a(r()), b(), policy=policy_of("refund", sources=("B",)))
        ),
        Situation(SUM, "A; no shop's word counts", look(a(r()), b(), policy=policy_of("refund", sources="none"))),
        Situation(SUM + " still pending", "A", look(a(r(state=PENDING)), b())),
        Situation(SUM + " that failed", "A", look(a(r(state=FAILED)), b())),
        Situation(SUM + ", 5 minutes old", "A; B pays", look(a(r(ago=5)), b(purse=PAYS))),
        Situation(SUM + ", 5 minutes old", "A; B only marks", look(a(r(ago=5)), b())),
        Situation(SUM + ", 4 days old", "A", look(a(r(ago=4 * DAY)), b())),
        Situation(SUM + ", older than the link", "A", look(a(r(ago=4 * DAY)), b(), live_days=3)),
        Situation(SUM + " without a date", "A", look(no_date, b())),
        Situation(SUM + " dated 2 days ahead", "A", look(a(r(ago=-2 * DAY)), b())),
        Situation(
            SUM + " above `approve_over`",
            "A",
            look(a(r()), b(), policy=policy_of("refund", approve_over=(usd(1_000),))),
        ),
        Situation("60.00, then 40.00 refunded", "A", look(a(r(6_000), r(4_000, "r2", ago=20)), b())),
        Situation("12.50 refunded twice in a day", "A; B pays", look(a(r(), r(name="r2", ago=20)), b(purse=PAYS))),
        Situation("12.50 refunded twice in a day", "A; B only marks", look(a(r(), r(name="r2", ago=20)), b())),
        Situation(SUM, "A; B is cancelled", look(a(r()), b(cancelled_minutes_ago=60))),
        Situation(SUM, "A; B is archived", look(a(r()), b(archived=True))),
        Situation(SUM, "A; B is in euro", look(a(r()), b(currency="EUR"))),
        Situation(SUM, "A; B was charged 108.25", look(a(r()), b(charged=10_825))),
        Situation(SUM, "A; B was charged 100.01", look(a(r()), b(charged=10_001))),
        Situation(SUM, "A; B was never read", look(a(r()), Side("B", None))),
        Situation(
            SUM,
            "A; B could not be understood (parked) or not loaded whole",
            look(a(r()), Side("B", build_order("B"), problem="its newest answer could not be understood")),
        ),
    ]


def both_sides() -> list[Situation]:
    seen = look(a(r()), b(copy()))
    by_hand = look(a(r()), b())
    return [
        Situation("12.50 refunded by hand", "A and B", look(a(r()), b(r(name="s1")))),
        Situation("12.50 and 12.51 refunded", "A and B", look(a(r()), b(r(1_251, "s1")))),
        Situation("12.50 and 20.00 refunded", "A and B", look(a(r()), b(r(2_000, "s1")))),
        Situation("100.00, and 60.00 + 40.00", "A and B", look(a(r(10_000)), b(r(6_000, "s1"), r(4_000, "s2")))),
        Situation("12.50 twice, and 12.50 once", "A and B", look(a(r(), r(name="r2", ago=20)), b(r(name="s1")))),
        Situation(SUM, "A; then B, by hand, before it was carried", look(a(r()), b(r(name="s1")), before=by_hand)),
        Situation(SUM, "A; B has it pending", look(a(r()), b(r(name="s1", state=PENDING)))),
        Situation(SUM, "A pending; B has it completed", look(a(r(state=PENDING)), b(r(name="s1")))),
        Situation(SUM, "A; B has our copy", seen),
        Situation(SUM, "A; B has our copy twice", look(a(r()), b(copy(), copy(name="c2")))),
        Situation(SUM, "A; B's copy is 20.00", look(a(r()), b(copy(2_000)))),
        Situation(SUM, "A; B's copy is 10.00", look(a(r()), b(copy(1_000)))),
        Situation(SUM, "A; it failed after it was carried to B", look(a(r(state=FAILED)), b(copy()), before=seen)),
        Situation(SUM, "A; it vanished after it was carried to B", look(a(), b(copy()), before=seen)),
        Situation(SUM, "A; our copy on B failed", look(a(r()), b(copy(state=FAILED)), before=seen)),
        Situation(
            SUM,
            "B, with a mark of ordersync that this store did not write",
            look(a(), b(R("c1", 1_250, note="os-aaaaaaaa"))),
        ),
        Situation(
            "12.50 refunded again an hour after",
            "A; B has our copy of the first",
            look(a(r(ago=90), r(name="r2")), b(copy()), before=seen),
        ),
        Situation(
            "12.50 refunded by hand",
            "B, an hour after our copy of A's 12.50 there",
            look(a(r(ago=90)), b(copy(), r(name="s2", ago=5)), before=seen),
        ),
        Situation(
            "12.50 refunded, 40.00 pending",
            "A; B shows 40.00 done",
            look(a(r(), r(4_000, "r2", PENDING)), b(r(4_000, "s1"))),
        ),
    ]


def bounds() -> list[Situation]:
    unpaid = look(a(r()), b(captured=0))
    return [
        Situation("a capture", "A; B is unpaid", look(a(), b(captured=0))),
        Situation("a capture of 60.00 of 100.00", "A; B is paid in full", look(a(captured=6_000), b())),
        Situation(SUM, "A; B is unpaid", unpaid),
        Situation(SUM, "A; B was unpaid then and is paid now", look(a(r()), b(), before=unpaid)),
        Situation(SUM, "A; 10.00 of 100.00 captured on B", look(a(r()), b(captured=1_000))),
        Situation("50.00 refunded", "A; B paid in 60.00 + 40.00", look(a(r(5_000)), b(captured=[6_000, 4_000]))),
        Situation("80.00 refunded", "A; B paid in 60.00 + 40.00", look(a(r(8_000)), b(captured=[6_000, 4_000]))),
        Situation(
            "30.00 refunded",
            "A; B paid in 60.00 + 40.00, both only mark",
            look(a(r(3_000)), b(captured=[6_000, 4_000])),
        ),
    ]


def abilities() -> list[Situation]:
    by_lines = QUIET.model_copy(
        update={"refund_by": frozenset({"amount", "lines"}), "refund_restocks": "with_lines"}
    )
    only_lines = by_lines.model_copy(update={"refund_by": frozenset({"lines"})})
    restock = policy_of("refund", restock="as_origin")
    unable = look(a(r()), b(can=without("refund")))
    one_unit = R("r1", 5_000, lines=[("line-1", 1)])
    made = build_order("A", refunds=[one_unit])
    [record] = made.refunds or ()
    stocked = Side("A", made.model_copy(update={"refunds": (record.model_copy(update={"restock": True}),)}))
    return [
        Situation(SUM, "A; B has no call for it, or `allow` forbids it", unable),
        Situation(SUM, "A; B could not take it then and now could", look(a(r()), b(), before=unable)),
        Situation(
            SUM,
            "A; B shows no note where our mark could be read back",
            look(a(r()), b(semantics=QUIET.model_copy(update={"refund_token_field": None}))),
        ),
        Situation("one unit refunded", "A; B takes line items", look(a(one_unit), b(semantics=by_lines))),
        Situation("one unit refunded", "A; B takes amounts only", look(a(one_unit), b())),
        Situation(
            "one unit refunded",
            "A; B takes line items only, and they differ",
            look(a(one_unit), other_goods(b(semantics=only_lines))),
        ),
        Situation(
            "one unit refunded and back in stock",
            "A; `restock: as_origin`",
            look(stocked, b(semantics=by_lines), policy=restock),
        ),
        Situation(
            "one unit refunded and back in stock",
            "A; `restock: as_origin`; B cannot be told",
            look(stocked, b(), policy=restock),
        ),
        Situation(
            "one unit refunded and back in stock", "A; `restock: never`", look(stocked, b(semantics=by_lines))
        ),
    ]


def attempts() -> list[Situation]:
    first = look(a(r()), b())
    held = look(a(r()), b(), policy=policy_of("refund", approve_over=(usd(1_000),)))
    old = look(a(r(ago=4 * DAY)), b())

    states = [
        ("being written to B", ActionState.SENDING, 0),
        ("accepted by B 5 minutes ago, not visible yet", ActionState.RECEIPTED, 5),
        ("accepted by B 2 hours ago, still not visible", ActionState.RECEIPTED, 120),
        ("refused by B", ActionState.REFUSED, 5),
        ("sent to B a moment ago, no clear answer", ActionState.DOUBT, 0),
        ("sent to B, no clear answer", ActionState.DOUBT, 5),
        ("sent to B, in doubt and left so; the link is new", ActionState.LEFT, 5),
        ("certainly not sent (429, no connection)", ActionState.EXPIRED, 5),
        ("seen on B, and no longer", ActionState.SEEN, 60),
    ]
    doubt = tried(first, ActionState.DOUBT)
    typed = first.actions[0].model_copy(update={"fact_id": None, "target": OrderRef("A", "1"), "by": "ann"})
    journal = [x.model_copy(update={"action": typed}) for x in tried(first, ActionState.SEEN)]
    return [
        *(
            Situation(SUM, f"A; {said}", look(a(r()), b(), before=first, journal=tried(first, state, ago)))
            for said, state, ago in states
        ),
        Situation(
            "20.00 refunded as well",
            "A; the first one to B is in doubt",
            look(a(r(), r(2_000, "r2", ago=20)), b(), before=first, journal=doubt),
        ),
        Situation(
            SUM + " typed with `orders refund`",
            "A",
            look(a(R("r1", 1_250, note=typed.token)), b(), journal=journal),
        ),
        Situation(
            SUM + " above `approve_over`",
            "A; a person approved it",
            look(
                a(r()),
                b(),
                policy=policy_of("refund", approve_over=(usd(1_000),)),
                answers=answered(Verb.APPROVE, held.holds),
            ),
        ),
        Situation(
            SUM + ", 4 days old",
            "A; a person approved it",
            look(a(r(ago=4 * DAY)), b(), answers=answered(Verb.APPROVE, old.holds)),
        ),
        Situation(
            SUM + ", 4 days old",
            "A; a person left it as it is",
            look(a(r(ago=4 * DAY)), b(), answers=answered(Verb.LEAVE, old.holds)),
        ),
    ]


def three() -> list[Situation]:
    return [
        Situation(SUM, "A; B and C are silent", look(a(r()), b(), c())),
        Situation(SUM, "A and B; C is silent", look(a(r()), b(r(name="s1")), c())),
        Situation(SUM, "A, B and C", look(a(r()), b(r(name="s1")), c(r(name="t1")))),
        Situation("12.50 and 20.00 refunded", "A and B; C is silent", look(a(r()), b(r(2_000, "s1")), c())),
        Situation(SUM, "A; C cannot take it", look(a(r()), b(), c(can=without("refund")))),
        Situation(SUM, "A; B and C both pay", look(a(r()), b(purse=PAYS), c(purse=PAYS))),
        Situation(SUM, "A; C was never read", look(a(r()), b(), Side("C", None))),
        Situation(
            SUM,
            "C, whose word does not count",
            look(a(), b(), c(r()), policy=policy_of("refund", sources=("A", "B"))),
        ),
    ]
