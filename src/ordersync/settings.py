"""The shape of the configuration file: typed settings, and how durations, dates and money are written.

Pure: reading the file, its secrets and its mistakes are `ordersync.config`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ordersync.connector import ShopSettings
from ordersync.model import Money
from ordersync.reconcile.policy import KindPolicy, Limits, LimitSet, Policy
from ordersync.reconcile.rules import LinkRule

_DURATION = re.compile(r"^(\d{1,6})\s*(s|m|h|d|w)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """ "30s", "5m", "48h", "30d" or "2w"; ValueError says how to write it."""
    match = _DURATION.match(text.strip())
    if not match:
        raise ValueError(f'{text!r} is not a duration; write it as "30s", "5m", "48h", "30d" or "2w"')
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def parse_moment(text: str) -> datetime:
    """A date ("2026-10-01", midnight UTC) or an RFC 3339 time with its offset, which is kept; else ValueError."""
    stated = text.strip()
    try:
        if len(stated) == 10:
            return datetime.combine(date.fromisoformat(stated), time(), UTC)
        moment = datetime.fromisoformat(stated)
    except ValueError:
        raise ValueError(f'{text!r} is not a date; write it as "2026-10-01" or "2026-10-01T09:00:00Z"') from None
    if moment.tzinfo is None:
        raise ValueError(f'{text!r} has no offset; end it with "Z" or "+09:00"')
    return moment


def _from_text(parse: Callable[[str], Any], kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError("write it as text")  # ValueError is what pydantic turns into its own
        return parse(value)

    return read


def _only_booleans(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError("only true and false are booleans")
    return value


def _as_text(value: Any) -> Any:
    """References are stored as text: `true` and `7` are written as they are stored."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


MoneyText = Annotated[Money, BeforeValidator(_from_text(Money.parse, Money))]
Duration = Annotated[timedelta, BeforeValidator(_from_text(parse_duration, timedelta))]
Moment = Annotated[AwareDatetime, BeforeValidator(_from_text(parse_moment, datetime))]
Switch = Annotated[bool, BeforeValidator(_only_booleans)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class LinkSettings(Section):
    """This field of that shop's orders names an order of another shop."""

    shop: str = Field(alias="from")
    field: str
    """`metadata.KEY`, `note_attributes.KEY`, `number` or `note`."""
    to: str
    """`shop.number` or `shop.id`."""
    strip: str = ""
    tolerance_minor: Annotated[int, Field(ge=0)] = 1
    where: dict[str, Annotated[str, BeforeValidator(_as_text)]] = {}
    """Only orders for which each of these fields (written as `field` is) equals its value."""
    trusted: Switch = False

    @property
    def target_shop(self) -> str:
        return self.to.partition(".")[0]

    @property
    def target_field(self) -> str:
        return self.to.partition(".")[2]

    def to_rule(self) -> LinkRule:
        return LinkRule(
            source=self.shop,
            field=self.field,
            to_shop=self.target_shop,
            to_field=self.target_field,
            strip=self.strip,
            where=self.where,
            trusted=self.trusted,
            tolerance_minor=self.tolerance_minor,
        )


def _shop_list(value: Any) -> Any:
    """One shop may be written without brackets."""
    return [value] if isinstance(value, str) and value not in ("any", "none") else value


class KindSettings(Section):
    """Policy for one kind of fact, as written; `from` has no default here, each kind has its own."""

    sources: Annotated[Literal["any", "none"] | tuple[str, ...], BeforeValidator(_shop_list)] = Field(alias="from")
    approve_over: tuple[MoneyText, ...] = ()
    restock: Literal["never", "as_origin"] = "never"
    notify_buyer: Switch = False
    carry_after: Duration | None = None

    def to_policy(self) -> KindPolicy:
        return KindPolicy(
            sources=self.sources,
            approve_over=self.approve_over,
            restock=self.restock,
            notify_buyer=self.notify_buyer,
            carry_after=self.carry_after,
        )


class PolicySettings(Section):
    cancel: KindSettings | None = None
    refund: KindSettings | None = None
    fulfill: KindSettings | None = None
    progress: KindSettings | None = None


class LimitSettings(Section):
    cancel: Annotated[int, Field(ge=0)] | None = None
    refund: Annotated[int, Field(ge=0)] | None = None
    refund_value: tuple[MoneyText, ...] = ()

    def to_limits(self, default: LimitSet) -> LimitSet:
        return LimitSet(
            cancel=default.cancel if self.cancel is None else self.cancel,
            refund=default.refund if self.refund is None else self.refund,
            refund_value=self.refund_value,
        )


class LimitsSettings(Section):
    run: LimitSettings = LimitSettings()
    day: LimitSettings = LimitSettings()


class Schedule(Section):
    sync: str = ""
    sweep: str = ""
    verify: str = ""


class Alerts(Section):
    command: tuple[str, ...] = ()
    silent_after: Duration | None = None


class Privacy(Section):
    buyer: Literal["keep"] = "keep"
    raw_payloads: Duration = timedelta(days=90)


class Settings(Section):
    """The whole file. `shops` holds each connector's own settings type."""

    store: str = "sqlite:///ordersync.db"
    writes: Switch = False
    read_from: Moment | None = None
    mappings: str | None = None
    shops: dict[str, ShopSettings] = {}
    links: tuple[LinkSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    limits: LimitsSettings = LimitsSettings()
    schedule: Schedule | None = None
    alerts: Alerts | None = None
    privacy: Privacy = Privacy()

    def to_policy(self) -> Policy:
        """Kinds that are not written keep the decision's own default: refunds are then not carried."""
        written = {
            kind: chosen.to_policy()
            for kind in PolicySettings.model_fields
            if (chosen := getattr(self.policy, kind)) is not None
        }
        return Policy(**written)

    def to_rules(self) -> tuple[LinkRule, ...]:
        return tuple(rule.to_rule() for rule in self.links)

    def to_limits(self) -> Limits:
        default = Limits()
        return Limits(run=self.limits.run.to_limits(default.run), day=self.limits.day.to_limits(default.day))
