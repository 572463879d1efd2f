"""How a person names an order: shop:number instead of shop:platform-id, wherever that names one order only."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from ordersync.cli.printing import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            self.learn([ref])
        return self._known[ref]

    def learn(self, refs: Iterable[OrderRef]) -> None:
        """Look up many names at once: one by one a thousand of them take seconds."""
        new = [ref for ref in dict.fromkeys(refs) if ref not in self._known]
        numbers = self._run.store.unique_numbers(new)
        for ref in new:
            self._known[ref] = plain(f"{ref.shop}:{numbers[ref]}") if ref in numbers else plain(ref)

    def learn_from(self, texts: Iterable[str]) -> None:
        """Look up the names of every order these sentences speak of."""
        from ordersync.model import OrderRef

        spoken = (match for text in texts for match in self._pattern.finditer(plain(text)))
        self.learn(OrderRef(match.group(1), match.group(2)) for match in spoken)

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
