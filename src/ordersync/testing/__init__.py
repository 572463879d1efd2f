"""Shipped test kit: sandbox servers with state, quotas and faults."""
