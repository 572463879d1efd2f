"""What people answered to the holds of a link, as the decision asks for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ordersync.model import Cell, CellState, Link, OrderRef, Resolution, Verb


class Answers:
    """The answers given on one link. An approval counts while it is unused and not older than its term."""

    def __init__(self, given: Sequence[Resolution], now: datetime, link: Link) -> None:
        self._link = link
        self._left = [r for r in given if r.verb is Verb.LEAVE]
        self._compared = [r for r in given if r.verb is Verb.COMPARE and r.code == "different_totals"]
        self._approved = [
            r
            for r in given
            if r.verb in (Verb.APPROVE, Verb.RESEND)
            and r.used_at is None
            and (r.expires_at is None or r.expires_at > now)
        ]

    def compares(self, totals: str) -> Resolution | None:
        """A person chose to take amounts as they are, over just these totals."""
        return next((r for r in self._compared if r.digest == totals), None)

    def left(self, fact_id: str, target: OrderRef) -> Cell | None:
        """The waived cell of a fact a person chose not to have carried to this order.

        Who left it everywhere spoke of the orders that were in the link then, not of one that joined later.
        """
        for answer in self._left:
            joined = self._link.joined_later(target)
            came_after = answer.target is None and joined is not None and joined > answer.at
            if answer.covers(fact_id, target) and not came_after:
                reason = f"{answer.who}: {answer.why}"
                return Cell(member=target, state=CellState.WAIVED, reason=reason)
        return None

    def left_hold(self, key: str, digest: str) -> Resolution | None:
        """A person accepted just this, as it still is."""
        return next((r for r in self._left if r.hold_key == key and r.digest == digest), None)

    def approval(self, code: str, fact_id: str, target: OrderRef, digest: str) -> Resolution | None:
        """The unused approval of exactly this write that lets it pass this one check.

        Who has a doubtful write sent again, its money unchanged, has seen all of it: it passes what it passed before.
        """
        for answer in self._approved:
            if (
                (answer.code == code or answer.verb is Verb.RESEND)
                and answer.covers(fact_id, target)
                and answer.digest == digest
            ):
                return answer
        return None
