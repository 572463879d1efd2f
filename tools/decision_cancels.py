"""The decision table's lines about cancellations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tools.decision_looks import (
    PAYING,
    QUIET,
    UNSURE,
    Side,
    Situation,
    altered,
    answered,
    fewer_units,
    goods,
    look,
    parcel,
    policy_of,
    side,
    tried,
    without,
)

from ordersync.model import (
    ActionState,
    Cancellation,
    Decision,
    FulfillmentState,
    PaymentState,
    Progress,
    Purse,
    Refund,
    RefundLine,
    RefundState,
    Verb,
)
from ordersync.testing.orders import NOON, R, usd

CANCEL = "a cancel"
DAY = 24 * 60


def a(*, ago: int = 30, **order: Any) -> Side:
    """A, cancelled `ago` minutes before."""
    return side("A", cancelled_minutes_ago=ago, **order)


def b(**order: Any) -> Side:
    return side("B", **order)


def money() -> list[Situation]:
    refunded = [R("r1", 10_000)]
    pending = [R("r1", 10_000, RefundState.PENDING)]
    authorized = b(captured=0, semantics=PAYING)
    payment = authorized.order.payments[0] if authorized.order and authorized.order.payments else None
    assert payment is not None
    open_money = altered(authorized, payments=(payment.model_copy(update={"status": PaymentState.AUTHORIZED}),))
    purses = {"purse": Purse.GATEWAY, "semantics": PAYING}
    return [
        Situation(CANCEL, "A; nothing was paid", look(a(captured=0), b(captured=0))),
        Situation(
            CANCEL, "A; nothing was paid; B's cancel refunds", look(a(captured=0), b(captured=0, semantics=PAYING))
        ),
        Situation(CANCEL, "A; B is paid; its cancel moves no money", look(a(), b())),
        Situation(CANCEL, "A; B is paid; its cancel refunds", look(a(), b(semantics=PAYING))),
        Situation(CANCEL, "A; B is paid; unknown whether its cancel refunds", look(a(), b(semantics=UNSURE))),
        Situation(
            CANCEL + ", 2 hours old", "A; B is paid; its cancel refunds", look(a(ago=120), b(semantics=PAYING))
        ),
        Situation(CANCEL, "A; B is only authorized; its cancel refunds", look(a(captured=0), open_money)),
        Situation(CANCEL + " and a refund of all", "A", look(a(refunds=refunded), b())),
        Situation(
            CANCEL + " and a refund of all",
            "A; B is refunded, its cancel refunds",
            look(a(refunds=refunded), b(refunds=[R("s1", 10_000)], semantics=PAYING)),
        ),
        Situation(
            CANCEL + " and a refund of all",
            "A; B's refund is pending",
            look(a(refunds=refunded), b(refunds=pending, semantics=PAYING)),
        ),
        Situation(
            CANCEL + " and a refund of all, still pending",
            "A; B's cancel moves no money",
            look(a(refunds=pending), b()),
        ),
        Situation(
            CANCEL + " and a refund of all, not to be carried",
            "A; B's cancel refunds",
            look(a(refunds=refunded), b(semantics=PAYING), policy=policy_of("refund", sources="none")),
        ),
        Situation(
            CANCEL + " and a refund of all",
            "A; two purses; B's cancel moves no money",
            look(a(refunds=refunded, purse=Purse.GATEWAY), b(purse=Purse.GATEWAY)),
        ),
        Situation(
            CANCEL + " and a refund of all",
            "A; two purses; B's cancel refunds",
            look(a(refunds=refunded, purse=Purse.GATEWAY), b(**purses)),
        ),
    ]


def states() -> list[Situation]:
    on_b = [
        ("shipped", goods("B", parcel())),
        ("delivered", goods("B", parcel(state=FulfillmentState.DELIVERED))),
        ("packed", goods("B", parcel(state=FulfillmentState.PACKED))),
        ("completed", b(progress=Progress.COMPLETED)),
        ("archived", b(archived=True)),
        ("without a cancel call, or `allow` forbids it", b(can=without("cancel"))),
        (
            "of a platform whose cancel cannot be read back",
            b(semantics=QUIET.model_copy(update={"records_cancel": False})),
        ),
    ]
    unable = look(a(), b(can=without("cancel")))
    shipped = goods("A", parcel(minutes_ago=45), cancelled_minutes_ago=30)
    both = look(a(), b(cancelled_minutes_ago=20))
    unknown = altered(a(), cancellation=Cancellation())
    part = Refund(
        id="r1",
        status=RefundState.COMPLETED,
        amount=usd(0),
        created_at=NOON - timedelta(minutes=30),
        lines=(RefundLine(line_item_id="line-1", quantity=1),),
    )
    return [
        *(Situation(CANCEL, f"A; B is {said}", look(a(), one)) for said, one in on_b),
        Situation(
            CANCEL + " and a refund of all",
            "A; B is shipped",
            look(a(refunds=[R("r1", 10_000)]), goods("B", parcel())),
        ),
        Situation(
            CANCEL + " and a refund of all",
            "A; B is shipped, then refunded by hand",
            look(a(refunds=[R("r1", 10_000)]), goods("B", parcel(), refunds=[R("s1", 10_000)])),
        ),
        Situation("a parcel left, then a cancel", "A", look(shipped, b())),
        Situation(
            "a parcel left, then a cancel", "A; B is paid; its cancel refunds", look(shipped, b(semantics=PAYING))
        ),
        Situation(
            "a parcel left, then a cancel", "A; B is cancelled already", look(shipped, b(cancelled_minutes_ago=20))
        ),
        Situation(CANCEL, "A; B could not be cancelled then and now could", look(a(), b(), before=unable)),
        Situation(CANCEL, "A and B", both),
        Situation(
            CANCEL, "A, whose word does not count", look(a(), b(), policy=policy_of("cancel", sources=("B",)))
        ),
        Situation(
            CANCEL + " taken back",
            "A; both were cancelled",
            look(side("A"), b(cancelled_minutes_ago=20), before=both),
        ),
        Situation(
            "a cancel of 1 of 2 units, unpaid, as a refund of no money",
            "A",
            look(altered(side("A", captured=0), refunds=(part,)), b(captured=0)),
        ),
        Situation("a cancel of 1 of 2 units, by editing the order", "A", look(fewer_units(side("A")), b())),
        Situation(
            "a cancel of 1 of 2 units, by editing the order",
            "A, whose word does not count",
            look(fewer_units(side("A")), b(), policy=policy_of("cancel", sources=("B",))),
        ),
        Situation(CANCEL + ", 4 days old", "A", look(a(ago=4 * DAY), b())),
        Situation(CANCEL + ", older than the link", "A", look(a(ago=4 * DAY), b(), live_days=3)),
        Situation(CANCEL + " without a date", "A", look(unknown, b())),
        Situation(CANCEL + " dated 2 days ahead", "A", look(a(ago=-2 * DAY), b())),
        Situation(CANCEL + ", 5 minutes old", "A; B shows changes late (10 minutes)", _late()),
    ]


def _late() -> Decision:
    late = QUIET.model_copy(update={"visibility_lag": timedelta(minutes=10)})
    return look(a(ago=5), b(semantics=late))


def attempts() -> list[Situation]:
    first = look(a(), b())
    old = look(a(ago=4 * DAY), b())
    states = [
        ("being written to B", ActionState.SENDING, 0),
        ("accepted by B 5 minutes ago, not visible yet", ActionState.RECEIPTED, 5),
        ("accepted by B 2 hours ago, still not visible", ActionState.RECEIPTED, 120),
        ("refused by B", ActionState.REFUSED, 5),
        ("sent to B, no clear answer", ActionState.DOUBT, 5),
        ("certainly not sent (429, no connection)", ActionState.EXPIRED, 5),
        ("seen on B, and no longer", ActionState.SEEN, 60),
    ]
    return [
        *(
            Situation(CANCEL, f"A; {said}", look(a(), b(), before=first, journal=tried(first, state, ago)))
            for said, state, ago in states
        ),
        Situation(
            CANCEL + ", 4 days old",
            "A; a person approved it",
            look(a(ago=4 * DAY), b(), answers=answered(Verb.APPROVE, old.holds)),
        ),
        Situation(
            CANCEL + ", 4 days old",
            "A; a person left it as it is",
            look(a(ago=4 * DAY), b(), answers=answered(Verb.LEAVE, old.holds)),
        ),
    ]


def three() -> list[Situation]:
    return [
        Situation(CANCEL, "A; B and C are open", look(a(), b(), side("C"))),
        Situation(CANCEL, "A; C is shipped", look(a(), b(), goods("C", parcel()))),
        Situation(CANCEL, "A and B; C is open", look(a(), b(cancelled_minutes_ago=20), side("C"))),
        Situation(CANCEL, "A; C cannot be cancelled", look(a(), b(), side("C", can=without("cancel")))),
        Situation(
            CANCEL,
            "B, whose word does not count",
            look(
                side("A"),
                side("B", cancelled_minutes_ago=30),
                side("C"),
                policy=policy_of("cancel", sources=("A",)),
            ),
        ),
    ]
