"""The decision, pure: facts, pairing, policy, and what to write, hold or wait for."""

from ordersync.reconcile.decide import reconcile
from ordersync.reconcile.members import Member, token_in
from ordersync.reconcile.policy import KindPolicy, Limits, LimitSet, Policy

__all__ = ["KindPolicy", "LimitSet", "Limits", "Member", "Policy", "reconcile", "token_in"]
