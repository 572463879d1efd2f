"""The entry point of the `ordersync` executable: every command module, and nothing heavy."""

from __future__ import annotations

from ordersync.cli import connectors as connectors
from ordersync.cli.app import app


def main() -> None:
    app(prog_name="ordersync")


if __name__ == "__main__":
    main()
