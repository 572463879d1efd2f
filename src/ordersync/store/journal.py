"""The journal of writes: the intent before the call, the receipt after, every step kept; and the leases.

One row per action holds its current state; every step also goes to a table the database refuses to change. A write
that may have happened and was not read back is *open*: an order has at most one (a unique index, whatever the code
above believes), and a key is used once for ever.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, delete, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from ordersync.errors import Held, StoreError
from ordersync.model import Action, ActionRecord, ActionState, Hold, OrderRef
from ordersync.store.links import mark_members_dirty
from ordersync.store.owner import lives
from ordersync.store.part import Part
from ordersync.store.records import SPENT_WINDOW, ActionStep, IntentHeld, Spent
from ordersync.store.resolutions import free_approvals, use_approvals
from ordersync.store.tables import ACTION_EVENTS, ACTIONS, LEASES, UNSETTLED, instant_text

FINAL = frozenset({ActionState.SEEN, ActionState.EXPIRED, ActionState.REFUSED, ActionState.LEFT})
_NEVER_SENT = (ActionState.INTENDED, ActionState.SENDING)
_DID_NOT_HAPPEN = (ActionState.EXPIRED.value, ActionState.REFUSED.value)


class Journal(Part):
    def intend(
        self,
        action: Action,
        now: datetime,
        send_by: datetime,
        check: Callable[[Spent], Hold | None],
        by: str = "",
    ) -> ActionRecord:
        """Commit the intent of one write. `check` runs in the same transaction and sees all that was spent; `by`
        names the process that will send it.

        Errors: Held `tried_before` (this key was used), `write_in_flight` (the order has another open write);
        IntentHeld (a Held with `.hold`) when `check` returned a hold; `approval_used`, `approval_expired`,
        `approval_stale`. Nothing is stored then. The action's approvals are used up.
        """
        with self.db.write() as connection:
            _refuse_second_write(connection, action)
            hold = check(_spent(connection, now))
            if hold is not None:
                raise IntentHeld(hold, action)
            use_approvals(connection, action, now)
            connection.execute(
                insert(ACTIONS).values(
                    key=action.key,
                    shop=action.target.shop,
                    order_id=action.target.order_id,
                    link_id=action.link_id,
                    state=ActionState.INTENDED.value,
                    is_open=True,
                    action=action.model_dump_json(),
                    intended_at=now,
                    send_by=send_by,
                    looked_at="[]",
                )
            )
            _append(
                connection, action.key, now, ActionState.INTENDED, {"send_by": instant_text(send_by), "by": by}
            )
            # A process that ends here leaves an open write: its link must be in sight, though the orders agree.
            mark_members_dirty(connection, action.target.shop, [action.target.order_id])
        return ActionRecord(action=action, state=ActionState.INTENDED, intended_at=now, send_by=send_by)

    def advance(
        self,
        key: str,
        expect: ActionState,
        to: ActionState,
        *,
        at: datetime | None = None,
        send_by: datetime | None = None,
        sent_at: datetime | None = None,
        answered_at: datetime | None = None,
        looked_at: datetime | None = None,
        platform_ref: str | None = None,
        answer: str | None = None,
        frees_order: bool = False,
    ) -> bool:
        """Move an action from `expect` to `to` (they may be equal, to record a look); False when it is elsewhere.

        `frees_order`: parcels and steps of the order no longer wait for it; money there still does. A field left
        None keeps what is stored; `looked_at` is appended. `at` is the step's time, by default the
        latest instant given, else now. ValueError for `expect` a final state: those never move again.
        """
        if expect in FINAL:
            raise ValueError(f"an action that is {expect.value} never moves again")
        given = {"send_by": send_by, "sent_at": sent_at, "answered_at": answered_at}
        instants = {name: value for name, value in given.items() if value is not None}
        words = {n: v for n, v in (("platform_ref", platform_ref), ("answer", answer)) if v is not None}
        looked = {"looked_at": instant_text(looked_at)} if looked_at else {}
        moment = at or looked_at or answered_at or sent_at or datetime.now(UTC)
        with self.db.write() as connection:
            stored = connection.execute(
                select(ACTIONS).where(ACTIONS.c.key == key, ACTIONS.c.state == expect.value)
            ).first()
            if stored is None:
                return False
            holds_order = to.is_open and not frees_order and not _another_open(connection, stored)
            looks = json.dumps([*json.loads(stored.looked_at), *looked.values()])
            connection.execute(
                update(ACTIONS)
                .where(ACTIONS.c.key == key, ACTIONS.c.state == expect.value)
                .values(state=to.value, is_open=holds_order, looked_at=looks, **instants, **words)
            )
            texts = {name: instant_text(value) for name, value in instants.items()}
            _append(connection, key, moment, to, {**texts, **words, **looked})
            if to is ActionState.EXPIRED and expect in _NEVER_SENT:
                free_approvals(connection, key)
            mark_members_dirty(connection, stored.shop, [stored.order_id])
        return True

    def record_past(
        self, action: Action, state: ActionState, now: datetime, answer: str, platform_ref: str | None = None
    ) -> bool:
        """Enter a write of an earlier life of this database as a person says it ended; False when it is known.

        ValueError for a state that is not final.
        """
        if state not in FINAL:
            raise ValueError(f"{state.value} is not how a write ends")
        with self.db.write() as connection:
            if connection.execute(select(ACTIONS.c.key).where(ACTIONS.c.key == action.key)).first() is not None:
                return False
            connection.execute(
                insert(ACTIONS).values(
                    key=action.key,
                    shop=action.target.shop,
                    order_id=action.target.order_id,
                    link_id=action.link_id,
                    state=state.value,
                    is_open=False,
                    action=action.model_dump_json(),
                    intended_at=now,
                    looked_at="[]",
                    answer=answer,
                    platform_ref=platform_ref,
                )
            )
            _append(connection, action.key, now, state, {"answer": answer})
            mark_members_dirty(connection, action.target.shop, [action.target.order_id])
        return True

    def actions(
        self, link_id: str | None = None, target: OrderRef | None = None, open_only: bool = False
    ) -> list[ActionRecord]:
        """Oldest first; the filters narrow together."""
        query = select(ACTIONS).order_by(ACTIONS.c.intended_at, ACTIONS.c.key)
        if link_id is not None:
            query = query.where(ACTIONS.c.link_id == link_id)
        if target is not None:
            query = query.where(ACTIONS.c.shop == target.shop, ACTIONS.c.order_id == target.order_id)
        if open_only:
            query = query.where(UNSETTLED)
        with self.db.read() as connection:
            return [record_of_row(row) for row in connection.execute(query)]

    def action(self, key: str) -> ActionRecord | None:
        with self.db.read() as connection:
            row = connection.execute(select(ACTIONS).where(ACTIONS.c.key == key)).first()
        return record_of_row(row) if row else None

    def action_steps(self, key: str) -> list[ActionStep]:
        """The journal's history of one action, oldest first."""
        query = select(ACTION_EVENTS).where(ACTION_EVENTS.c.key == key).order_by(ACTION_EVENTS.c.id)
        with self.db.read() as connection:
            return [
                ActionStep(row.at, ActionState(row.state), json.loads(row.fields))
                for row in connection.execute(query)
            ]

    def sender(self, key: str) -> str | None:
        """Name of the process that meant to send it (`owner.lives`); None when that was not noted."""
        return next((step.fields.get("by") or None for step in self.action_steps(key)), None)

    def spent(self, now: datetime) -> Spent:
        """What limits count, as of now; a decision that commits must use the one `intend` hands to its check."""
        with self.db.read() as connection:
            return _spent(connection, now)

    def claim(self, refs: Iterable[OrderRef], owner: str, now: datetime, ttl: timedelta) -> bool:
        """Lease all of these orders for `ttl`, or none: False when another owner holds one. Renews one's own.

        A lease whose process is known to have ended holds nobody up.
        """
        wanted = sorted(set(refs))
        with self.db.write() as connection:
            for ref in wanted:
                holder = connection.execute(
                    select(LEASES).where(LEASES.c.shop == ref.shop, LEASES.c.order_id == ref.order_id)
                ).first()
                if (
                    holder is not None
                    and holder.owner != owner
                    and holder.expires_at > now
                    and lives(holder.owner) is not False
                ):
                    return False
            for ref in wanted:
                values = {"owner": owner, "expires_at": now + ttl}
                connection.execute(
                    upsert(LEASES)
                    .values(shop=ref.shop, order_id=ref.order_id, **values)
                    .on_conflict_do_update(index_elements=["shop", "order_id"], set_=values)
                )
        return True

    def release(self, owner: str) -> None:
        """Give back every lease of this owner; what cannot be given back ends by itself.

        It is called on the way out, where an error of its own would hide the one that led there.
        """
        with contextlib.suppress(StoreError), self.db.write() as connection:
            connection.execute(delete(LEASES).where(LEASES.c.owner == owner))


def _another_open(connection: Connection, stored: Row[tuple[object, ...]]) -> bool:
    """A parcel went out while this write was in doubt, and is not settled yet."""
    same_order = (ACTIONS.c.shop == stored.shop, ACTIONS.c.order_id == stored.order_id)
    found = select(ACTIONS.c.key).where(*same_order, ACTIONS.c.is_open, ACTIONS.c.key != stored.key).limit(1)
    return connection.execute(found).first() is not None


def _refuse_second_write(connection: Connection, action: Action) -> None:
    about = {"shop": action.target.shop, "order": action.target.order_id, "operation": action.kind.value}
    used = connection.execute(select(ACTIONS.c.state).where(ACTIONS.c.key == action.key)).scalar_one_or_none()
    if used is not None:
        raise Held(
            f"this very {action.kind.value} was tried before (it is {used})",
            code="tried_before",
            next_step=f"see it: ordersync orders show {action.target}",
            **about,
        )
    open_kind = connection.execute(
        select(ACTIONS.c.state)
        .where(
            ACTIONS.c.shop == action.target.shop,
            ACTIONS.c.order_id == action.target.order_id,
            UNSETTLED if action.kind.moves_money else ACTIONS.c.is_open,
        )
        .limit(1)
    ).scalar_one_or_none()
    if open_kind is not None:
        raise Held(
            f"another write to this order is not settled yet (it is {open_kind})",
            code="write_in_flight",
            next_step="wait a minute and run the command again; if it stays, see: ordersync holds list",
            **about,
        )


def _spent(connection: Connection, now: datetime) -> Spent:
    rows = connection.execute(
        select(ACTIONS)
        .where(
            or_(ACTIONS.c.intended_at >= now - SPENT_WINDOW, UNSETTLED),
            ACTIONS.c.state.not_in(_DID_NOT_HAPPEN),
        )
        .order_by(ACTIONS.c.intended_at, ACTIONS.c.key)
    )
    return Spent(now, tuple(record_of_row(row) for row in rows))


def _append(connection: Connection, key: str, at: datetime, state: ActionState, fields: dict[str, str]) -> None:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    connection.execute(insert(ACTION_EVENTS).values(key=key, at=at, state=state.value, fields=text))


def record_of_row(row: Row[tuple[object, ...]]) -> ActionRecord:
    return ActionRecord(
        action=Action.model_validate_json(row.action),
        state=ActionState(row.state),
        intended_at=row.intended_at,
        send_by=row.send_by,
        sent_at=row.sent_at,
        answered_at=row.answered_at,
        platform_ref=row.platform_ref,
        looked_at=tuple(datetime.fromisoformat(text) for text in json.loads(row.looked_at)),
        answer=row.answer,
    )
