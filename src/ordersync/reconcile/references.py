"""Orders that name the same order: which of them is linked with it, and what a person must decide. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ordersync.model import Hold, OrderRef, hold_key
from ordersync.model.traits import Traits
from ordersync.reconcile.rules import (
    DUPLICATE_MIRROR,
    REFERENCE_UNCONFIRMED,
    SPLIT_SALE,
    LinkRule,
    adds_up,
    charged_text,
    disagreements,
    several_code,
)

BY_RULE = "rule: "
"""How the evidence of these holds begins."""
HOLD_CODES = frozenset({REFERENCE_UNCONFIRMED, SPLIT_SALE, DUPLICATE_MIRROR})


class Claim(NamedTuple):
    """An order that names another; `link` is the number of the link it belongs to."""

    ref: OrderRef
    link: int | None


class Named(NamedTuple):
    """The order that is named; `sibling` is the order of the claims' shop its link holds already."""

    ref: OrderRef
    link: int | None
    sibling: OrderRef | None


class Verdict(NamedTuple):
    linked: OrderRef | None
    """The claim to be linked with the named order."""
    holds: tuple[Hold, ...]


def judge(
    rule: LinkRule,
    claims: Sequence[Claim],
    named: Sequence[Named],
    traits: Mapping[OrderRef, Traits],
    parted: Collection[frozenset[OrderRef]],
) -> Verdict:
    """All orders of one shop that say the same text, and the orders (usually one) it may mean.

    `parted`: pairs a person took apart. Of several orders that name one, none is linked: they are a split sale where
    they add up to it, one too many where each of them agrees, else unconfirmed.
    """
    if len(named) > 1:
        why = [f"{len(named)} orders of {rule.to_shop} have that number"]
        return Verdict(None, tuple(_unconfirmed(rule, claim.ref, named, why) for claim in claims))
    target = named[0]
    doubts = {claim.ref: _doubts(rule, claim, target, traits, parted) for claim in claims}
    fitting = [claim.ref for claim in claims if not doubts[claim.ref]]
    together = fitting if target.sibling is None else [target.sibling, *fitting]
    if fitting and len(together) > 1:
        code = several_code(traits.get(target.ref), [traits.get(ref) for ref in together])
        held = [several_hold(code, target.ref, together, _shown(rule, [target.ref, *together], traits))]
    else:
        held = []
        free = [
            claim.ref
            for claim in claims
            if claim.link is None and frozenset((claim.ref, target.ref)) not in parted
        ]
        parts = [traits[ref] for ref in free if ref in traits]
        whole = traits.get(target.ref)
        if not together and whole is not None and adds_up(whole, parts):
            held.append(several_hold(SPLIT_SALE, target.ref, free, _shown(rule, [target.ref, *free], traits)))
            doubts = {ref: why for ref, why in doubts.items() if ref not in free}
        elif len(claims) > 1:
            # Whichever agrees may be a buyer's, and the true one the one that does not.
            several = f"{len(claims)} orders of {rule.source} name it"
            doubts = {ref: [several, *why] for ref, why in doubts.items()}
            fitting = []
    for ref, why in doubts.items():
        if why:
            if target.sibling is not None:
                why = [f"{target.ref} is in link L{target.link}, which has an order of {ref.shop} already", *why]
            held.append(_unconfirmed(rule, ref, named, why))
    return Verdict(fitting[0] if len(together) == 1 and fitting else None, tuple(held))


def _doubts(
    rule: LinkRule,
    claim: Claim,
    target: Named,
    traits: Mapping[OrderRef, Traits],
    parted: Collection[frozenset[OrderRef]],
) -> list[str]:
    why: list[str] = []
    if claim.link is not None:
        why.append(f"{claim.ref} is in link L{claim.link} already; an edited reference never re-links")
    elif frozenset((claim.ref, target.ref)) in parted:
        why.append("a person removed this link; a rule does not make it again")
    if target.ref not in traits:
        why.append(f"{target.ref} could not be read")
    elif not rule.trusted:
        why += disagreements(traits[claim.ref], traits[target.ref], rule.tolerance_minor)
    return why


def _unconfirmed(rule: LinkRule, ref: OrderRef, named: Sequence[Named], why: Sequence[str]) -> Hold:
    others = " ".join(str(one.ref) for one in named)
    return Hold(
        key=hold_key(REFERENCE_UNCONFIRMED, f"order:{ref}", *(str(one.ref) for one in named)),
        code=REFERENCE_UNCONFIRMED,
        subject=f"order:{ref}",
        message=f"{ref} names {others} but they are not linked: {'; '.join(why)}",
        evidence=(f"{BY_RULE}{rule.name}",),
        next_steps=(
            f"ordersync links add {ref} {others}   if they are the same sale",
            "buyers can write metadata: look at both orders first",
        ),
        target=ref,
    )


def several_hold(code: str, whole: OrderRef, parts: Sequence[OrderRef], evidence: Sequence[str]) -> Hold:
    """`split_sale`: `whole` is the sale of all `parts`. `duplicate_mirror`: each of `parts` looks like `whole`."""
    names = ", ".join(str(ref) for ref in sorted(parts))
    if code == SPLIT_SALE:
        message = f"{whole} was split: {names} together have its total and items; they are not linked"
        steps: tuple[str, ...] = (
            "a link holds one order of each shop: cancel and refund these by hand, on every side",
        )
    else:
        message = f"{names} are all the same sale as {whole}, and a link holds one order of each shop"
        steps = (
            f"cancel the order that is one too many, then: ordersync links add {whole} and the one that stays",
            f"look at each first: ordersync orders show {whole}",
        )
    return Hold(
        key=hold_key(code, f"order:{whole}", *(str(ref) for ref in sorted(parts))),
        code=code,
        subject=f"order:{whole}",
        message=message,
        evidence=tuple(evidence),
        next_steps=steps,
        target=whole,
    )


def _shown(rule: LinkRule, refs: Sequence[OrderRef], traits: Mapping[OrderRef, Traits]) -> list[str]:
    totals = [f"{ref} {charged_text(traits[ref])}" for ref in refs if ref in traits]
    return [f"{BY_RULE}{rule.name}", *totals]
