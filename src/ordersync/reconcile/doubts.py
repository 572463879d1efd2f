"""What is said about a write nobody knows the outcome of, wherever it is held. Pure."""

from __future__ import annotations

from ordersync.model import Action, ActionKind, ActionRecord


def doubt_message(action: Action) -> str:
    amount = f" {action.amount}" if action.amount else ""
    return (
        f"a {action.kind}{amount} was sent to {action.target} and no clear answer came. It is not sent "
        "again without you."
    )


def doubt_evidence(record: ActionRecord) -> tuple[str, ...]:
    sent = f"sent {record.sent_at:%Y-%m-%d %H:%M:%S} UTC, mark {record.action.token}" if record.sent_at else ""
    return (
        *((sent,) if sent else ()),
        f"answer: {record.answer or 'none'}",
        *(f"looked {at:%Y-%m-%d %H:%M:%S} UTC: not there" for at in record.looked_at),
    )


def doubt_steps(action: Action) -> tuple[str, ...]:
    """What a person can do about it: only what our mark or the order itself shows settles it."""
    steps = (
        f"ordersync orders show {action.target} --fresh   is it there?",
        "ordersync apply   looks again; it settles when it is seen",
    )
    if action.kind is ActionKind.REFUND:
        return (*steps, f"not there, still owed: refund it in the admin, {action.token} in its note")
    return steps
