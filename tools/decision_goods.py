"""The decision table's lines about shipments and progress."""

from __future__ import annotations

from datetime import timedelta

from tools.decision_looks import (
    PACKS,
    QUIET,
    Side,
    Situation,
    answered,
    goods,
    look,
    other_goods,
    parcel,
    policy_of,
    side,
    tried,
    without,
)

from ordersync.model import ActionState, Decision, FulfillmentState, Progress, Purse, Verb
from ordersync.testing.orders import NOON, R

PACKED, DELIVERED, CANCELLED = FulfillmentState.PACKED, FulfillmentState.DELIVERED, FulfillmentState.CANCELLED
DAY = 24 * 60
PARCEL = "a parcel of 2 left"
STEPS = [
    ("being written to B", ActionState.SENDING, 0),
    ("accepted by B 5 minutes ago, not visible yet", ActionState.RECEIPTED, 5),
    ("accepted by B 2 hours ago, still not visible", ActionState.RECEIPTED, 120),
    ("refused by B", ActionState.REFUSED, 5),
    ("sent to B, no clear answer", ActionState.DOUBT, 5),
    ("certainly not sent (429, no connection)", ActionState.EXPIRED, 5),
]


def shipments() -> list[Situation]:
    a, b = goods("A", parcel(tracking="SF1")), side("B")
    packing, gateway = side("B", semantics=PACKS), side("B", purse=Purse.GATEWAY)
    unable = look(a, side("B", can=without("ship")))
    both = look(a, goods("B", parcel("q1")))
    again = goods("A", parcel(), parcel("p2", 1, minutes_ago=20))
    late = QUIET.model_copy(update={"visibility_lag": timedelta(minutes=60)})
    two_purses = goods("A", parcel(), purse=Purse.GATEWAY, refunds=[R("r1", 1_250)])
    return [
        Situation(PARCEL, "A", look(a, b)),
        Situation(PARCEL, "A; B packs first", look(a, packing)),
        Situation(
            PARCEL,
            "A; B packs first and has just these packed",
            look(a, goods("B", parcel("q1", state=PACKED), semantics=PACKS)),
        ),
        Situation(
            PARCEL,
            "A; B has 1 of them packed",
            look(a, goods("B", parcel("q1", 1, state=PACKED), semantics=PACKS)),
        ),
        Situation(
            "a parcel left, 1 of 2 units",
            "A and B, each under a tracking number of its own",
            look(goods("A", parcel(units=1, tracking="SF1")), goods("B", parcel("q1", 1, tracking="SF2"))),
        ),
        Situation("a parcel was delivered", "A", look(goods("A", parcel(state=DELIVERED)), b)),
        Situation("a parcel was packed", "A", look(goods("A", parcel(state=PACKED)), b)),
        Situation(PARCEL, "A and B, by hand", both),
        Situation("2 units left, and 1 + 1", "A and B", look(a, goods("B", parcel("q1", 1), parcel("q2", 1)))),
        Situation("2 units left, and 1", "A and B", look(a, goods("B", parcel("q1", 1)))),
        Situation(
            "a third unit left (a replacement)", "A; B shipped 2 of 2", look(again, goods("B", parcel("q1")))
        ),
        Situation(
            "a parcel was cancelled",
            "A; both had shipped",
            look(goods("A", parcel(state=CANCELLED)), goods("B", parcel("q1")), before=both),
        ),
        Situation(PARCEL, "A, whose word does not count", look(a, b, policy=policy_of("fulfill", sources=("B",)))),
        Situation(
            PARCEL,
            "A; B is cancelled",
            look(a, side("B", cancelled_minutes_ago=60), policy=policy_of("cancel", sources="none")),
        ),
        Situation(PARCEL, "A; B is archived", look(a, side("B", archived=True))),
        Situation(PARCEL, "A; B has other line items", look(a, other_goods(side("B")))),
        Situation(PARCEL, "A, which does not tell what is inside", look(goods("A", parcel(told=False)), b)),
        Situation(PARCEL, "A; B has no call for it, or `allow` forbids it", unable),
        Situation(PARCEL, "A; B could not be shipped then and now could", look(a, b, before=unable)),
        Situation(PARCEL, "A; B shows changes late (1 hour)", look(a, side("B", semantics=late))),
        Situation(PARCEL + " 4 days ago", "A", look(goods("A", parcel(minutes_ago=4 * DAY)), b)),
        Situation(PARCEL + " before the link", "A", look(goods("A", parcel(minutes_ago=4 * DAY)), b, live_days=3)),
        Situation(PARCEL + " without a date", "A", look(goods("A", parcel(minutes_ago=None)), b)),
        Situation(PARCEL + ", dated 2 days ahead", "A", look(goods("A", parcel(minutes_ago=-2 * DAY)), b)),
        Situation(
            PARCEL + ", and a refund of 12.50", "A", look(goods("A", parcel(), refunds=[R("r1", 1_250)]), b)
        ),
        Situation(PARCEL + ", and a refund of 12.50", "A; both would pay", look(two_purses, gateway)),
        *_again(a, b, PARCEL, look(a, b)),
        Situation(PARCEL + " 4 days ago", "A; a person approved it", _old(Verb.APPROVE)),
        Situation(PARCEL + " 4 days ago", "A; a person left it as it is", _old(Verb.LEAVE)),
        Situation(PARCEL, "A; B and C have not shipped", look(a, b, side("C"))),
        Situation(PARCEL, "A and B; C has not shipped", look(a, goods("B", parcel("q1")), side("C"))),
        Situation(
            PARCEL,
            "A; C is cancelled",
            look(a, b, side("C", cancelled_minutes_ago=60), policy=policy_of("cancel", sources="none")),
        ),
    ]


def _old(verb: Verb) -> Decision:
    a, b = goods("A", parcel(minutes_ago=4 * DAY)), side("B")
    return look(a, b, answers=answered(verb, look(a, b).holds))


def _again(a: Side, b: Side, changed: str, first: Decision) -> list[Situation]:
    return [
        Situation(changed, f"A; {said}", look(a, b, before=first, journal=tried(first, state, minutes_ago)))
        for said, state, minutes_ago in STEPS
    ]


def progress() -> list[Situation]:
    quiet = look(side("A"), side("B"))
    done = side("A", progress=Progress.COMPLETED)
    pending, confirmed = side("B"), side("B", progress=Progress.CONFIRMED)
    counts = policy_of("progress", sources=("A",))
    moved = look(done, pending, before=quiet)
    direct = look(done, side("B", can=without("confirm", "process")), before=quiet)
    unable = look(done, side("B", can=without("complete")), before=quiet)
    [row] = [r for r in moved.ledger.rows if r.fact.record_id == "completed"]
    aged = row.model_copy(update={"fact": row.fact.model_copy(update={"happened_at": NOON - timedelta(days=4)})})
    old = moved.model_copy(update={"ledger": moved.ledger.model_copy(update={"rows": (aged,)})})
    return [
        Situation("completed", "A, since the last look", moved),
        Situation("completed", "A, since the last look; B only has a call to complete", direct),
        Situation("completed", "A; B has been confirmed", look(done, confirmed, before=quiet)),
        Situation("completed", "A, at the first look of the link", look(done, pending)),
        Situation("completed", "A, first seen 4 days ago", look(done, pending, before=old)),
        Situation("completed", "A and B", look(done, side("B", progress=Progress.COMPLETED), before=quiet)),
        Situation(
            "completed",
            "B, whose word does not count",
            look(side("A"), side("B", progress=Progress.COMPLETED), before=quiet, policy=counts),
        ),
        Situation(
            "completed",
            "A; no shop's word counts",
            look(done, pending, policy=policy_of("progress", sources="none")),
        ),
        Situation(
            "completed",
            "A; B is cancelled",
            look(
                done, side("B", cancelled_minutes_ago=60), before=quiet, policy=policy_of("cancel", sources="none")
            ),
        ),
        Situation("completed", "A; B is archived", look(done, side("B", archived=True), before=quiet)),
        Situation("completed", "A; B has no call for it, or `allow` forbids it", unable),
        Situation("completed", "A; B could not express it then and now could", look(done, pending, before=unable)),
        Situation("completed", "A; B states no progress", look(done, side("B", progress=None), before=quiet)),
        Situation(
            "completed, and a parcel left",
            "A",
            look(goods("A", parcel(), progress=Progress.COMPLETED), pending, before=quiet),
        ),
        *_again(done, pending, "completed", moved),
        Situation(
            "completed",
            "A, at the first look; a person approved it",
            look(done, pending, answers=answered(Verb.APPROVE, look(done, pending).holds)),
        ),
        Situation(
            "completed",
            "A, at the first look; a person left it as it is",
            look(done, pending, answers=answered(Verb.LEAVE, look(done, pending).holds)),
        ),
        Situation(
            "completed",
            "A; B and C are pending",
            look(done, pending, side("C"), before=look(side("A"), pending, side("C"))),
        ),
    ]
