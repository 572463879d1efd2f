"""Differences this version sees but does not carry: shipments and progress. Held where asked for, never silent."""

from __future__ import annotations

from ordersync.model import Progress
from ordersync.reconcile.decide import Case


def note_uncarried(case: Case) -> None:
    """A shop the policy names is ahead of another member: a hold with its own reason; otherwise a remark."""
    if any(m.order is None or m.order.is_cancelled for m in case.members):
        return
    _note_shipments(case)
    steps = {m.ref: m.order.progress for m in case.members if m.order and m.order.progress}
    if len(set(steps.values())) <= 1:
        return
    furthest: Progress = max(steps.values(), key=lambda step: step.rank)
    leading = [ref for ref, step in steps.items() if step is furthest]
    said = ", ".join(f"{ref} {step}" for ref, step in steps.items())
    if any(case.policy.progress.counts(ref.shop) for ref in leading):
        case.hold("progress_not_carried", f"progress differs: {said}; progress is not carried yet", furthest.value)
    else:
        case.skipped.append(f"progress differs ({said}): local, not among policy.progress.from")


def _note_shipments(case: Case) -> None:
    units = {m.ref: m.shipped_units for m in case.members}
    unclear = [str(ref) for ref, count in units.items() if count is None]
    if unclear:
        case.skipped.append(f"{', '.join(unclear)}: the platform does not tell what its parcels hold")
    known = {ref: count for ref, count in units.items() if count is not None}
    most = max(known.values(), default=0)
    behind = [str(ref) for ref, count in known.items() if count < most]
    ahead = [ref for ref, count in known.items() if count == most]
    if not behind:
        return
    said = f"{', '.join(map(str, ahead))} shipped {most} units, {', '.join(behind)} fewer"
    if any(case.policy.fulfill.counts(ref.shop) for ref in ahead):
        case.hold("shipment_not_carried", f"{said}; shipments are not carried yet", str(most))
    else:
        case.skipped.append(f"{said}: local, not among policy.fulfill.from")
