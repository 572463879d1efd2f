"""Differences this version sees but does not carry: shipments and progress. Held where asked for, never silent."""

from __future__ import annotations

from ordersync.model import Progress
from ordersync.reconcile.decide import Case


def note_uncarried(case: Case) -> None:
    """A shop the policy names is ahead of another member: a hold with its own reason; otherwise a remark."""
    if any(m.order is None or m.order.is_cancelled for m in case.members):
        return
    most = max(m.shipped_units for m in case.members)
    behind = [str(m.ref) for m in case.members if m.shipped_units < most]
    ahead = [m for m in case.members if m.shipped_units == most]
    if behind:
        said = f"{', '.join(str(m.ref) for m in ahead)} shipped {most} units, {', '.join(behind)} fewer"
        if any(case.policy.fulfill.counts(m.ref.shop) for m in ahead):
            case.hold("shipment_not_carried", f"{said}; shipments are not carried yet", str(most))
        else:
            case.skipped.append(f"{said}: local, not among policy.fulfill.from")
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
