"""ordersync keeps one sale in agreement across commerce platforms: once, never twice, never silently."""

__version__ = "0.1.0"
