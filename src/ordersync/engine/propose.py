"""Propose link rules: which field of which shop names the orders of another, counted over every order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from ordersync.model.traits import rule_field
from ordersync.reconcile.choose import Chains
from ordersync.reconcile.prefixes import prefixes, without
from ordersync.reconcile.rules import LinkRule
from ordersync.store import Accuracy, Reference, Store

TOLERANCE_MINOR = 1
_SAMPLE = 1_000
_SAMPLE_HITS_MIN = 0.02
"""Of a sample, how many texts must be known orders for the whole to be counted."""
_FIELDS_MAX = 40
"""Fields looked at per shop, those of most orders first."""
_NAMED_MIN = 3
_AGREE_MIN = 0.8
"""Of the orders a field names, how many must have the same total and items."""


@dataclass(frozen=True, slots=True)
class RuleProposal:
    source: str
    field: str
    to_shop: str
    to_field: str
    strip: str
    accuracy: Accuracy
    configured: bool
    """The configuration has this rule already."""
    needed: bool = True
    """False where other rules of this list join the two shops already."""

    @property
    def counts(self) -> str:
        """ "names 412 of 430, 18 none, 0 twice, 3 disagree"."""
        found = self.accuracy
        return (
            f"names {found.named:,} of {found.orders:,}, {found.zero:,} none, {found.twice:,} twice, "
            f"{found.disagree:,} disagree"
        )

    def as_yaml(self) -> str:
        """One item of `links:`, its counts above it."""
        strip = f", strip: {_quoted(self.strip)}" if self.strip else ""
        where_to = f"{self.to_shop}.{self.to_field}"
        return (
            f"  # {self.counts}\n  - {{from: {self.source}, field: {_quoted(self.field)}{strip}, to: {where_to}}}"
        )


def propose(store: Store, shops: Sequence[str], rules: Sequence[LinkRule]) -> list[RuleProposal]:
    """The best rule from each shop to each other one: configured ones, then those that name most orders.

    Counted in the database; a field is counted whole only when a sample of it names known orders.
    """
    best: dict[tuple[str, str], RuleProposal] = {}
    for found in _proposals(store, shops, rules):
        key = (found.source, found.to_shop)
        if key not in best or _rank(found) > _rank(best[key]):
            best[key] = found
    chains = Chains()
    proposed: list[RuleProposal] = []
    for found in sorted(best.values(), key=lambda one: (one.configured, _rank(one)), reverse=True):
        joined = chains.head(found.source) == chains.head(found.to_shop)
        chains.join(found.source, found.to_shop)
        proposed.append(replace(found, needed=not joined))
    return proposed


def _rank(found: RuleProposal) -> tuple[int, int, bool, str]:
    return (found.accuracy.named - found.accuracy.disagree, -found.accuracy.twice, found.configured, found.source)


def _proposals(store: Store, shops: Sequence[str], rules: Sequence[LinkRule]) -> Iterator[RuleProposal]:
    known = {
        (rule.source, rule.field.partition(".")[2] or rule.field, rule.to_shop, rule.to_field) for rule in rules
    }
    counts = {shop: store.reference_counts(shop) for shop in shops}
    for source, to_shop in permutations(shops, 2):
        often = sorted(counts[source].items(), key=lambda one: (-one[1], one[0]))[:_FIELDS_MAX]
        fields = [("number", store.order_count(source)), *((rule_field(stored), held) for stored, held in often)]
        for field, held in fields:
            if field.partition(".")[2][:1].isspace():
                continue  # a rule cannot be written for such a key
            texts = store.sample_texts(source, field, max(1, held // _SAMPLE))
            for to_field in ("number", "id"):
                strip = _best_prefix(store, to_shop, to_field, texts)
                if strip is None:
                    continue
                rule = Reference(source, field, strip, {}, to_shop, to_field)
                accuracy = store.accuracy(rule, TOLERANCE_MINOR)
                agree = accuracy.named - accuracy.disagree
                if agree >= _NAMED_MIN and agree >= accuracy.named * _AGREE_MIN:
                    bare = field.partition(".")[2] or field
                    configured = (source, bare, to_shop, to_field) in known
                    yield RuleProposal(source, field, to_shop, to_field, strip, accuracy, configured)


def _best_prefix(store: Store, to_shop: str, to_field: str, texts: Sequence[str]) -> str | None:
    """The prefix under which most of the sample are orders of that shop; None when too few are."""
    hits = [
        (store.names_any(to_shop, to_field, [text for text in without(prefix, texts) if text]), prefix)
        for prefix in prefixes(texts)
    ]
    most, best = max(hits, key=lambda one: (one[0], -len(one[1])))
    return best if texts and most >= max(1, len(texts) * _SAMPLE_HITS_MIN) else None


def _quoted(text: str) -> str:
    """A YAML scalar: JSON's quoting is YAML's, and `$` is doubled because `${NAME}` is filled in."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=True)
