"""How a person names an order: shop:number instead of shop:platform-id, wherever that names one order only."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from ordersync.cli.printing import plain

if TYPE_CHECKING:
    from ordersync.cli.run import Run
    from ordersync.model import OrderRef


class Names:
    """Looks names up in the store as they are needed, each once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[tuple[str, str], str] = {}

    def of(self, ref: OrderRef) -> str:
        """`office:4711`, or `office:order_01M8…` where the number is unknown or fits several orders."""
        if ref not in self._known:
            stored = self._run.store.order(ref)
            number = stored.order.number if stored else None
            unique = number is not None and len(self._run.store.find(ref.shop, number)) == 1
            self._known[ref] = plain(f"{ref.shop}:{number}") if unique else plain(ref)
        return self._known[ref]

    def within(self, text: str) -> str:
        """The same sentence with every order in it named as a person would, and no e-mail address."""
        from ordersync.log import hide_emails

        return self._pattern.sub(self._replaced, hide_emails(plain(text)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        shops = "|".join(re.escape(name) for name in self._run.config.settings.shops)
        return re.compile(rf"(?<![\w-])({shops}):([\w.-]*\w)")

    def _replaced(self, match: re.Match[str]) -> str:
        from ordersync.model import OrderRef

        return self.of(OrderRef(match.group(1), match.group(2)))
