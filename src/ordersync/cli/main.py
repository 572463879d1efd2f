"""The entry point of the `ordersync` executable: every command module, and nothing heavy."""

from __future__ import annotations

import gc
import os
import signal
import sys

# The order of these lines is the order of the commands in --help.
from ordersync.cli import demo as demo  # isort: skip
from ordersync.cli import sandbox as sandbox  # isort: skip
from ordersync.cli import init as init  # isort: skip
from ordersync.cli import check as check  # isort: skip
from ordersync.cli import pull as pull  # isort: skip
from ordersync.cli import plan as plan  # isort: skip
from ordersync.cli import status as status  # isort: skip
from ordersync.cli import pause as pause  # isort: skip
from ordersync.cli import orders as orders  # isort: skip
from ordersync.cli import explain as explain  # isort: skip
from ordersync.cli import byhand as byhand  # isort: skip
from ordersync.cli import payments as payments  # isort: skip
from ordersync.cli import links as links  # isort: skip
from ordersync.cli import suggest as suggest  # isort: skip
from ordersync.cli import holds as holds  # isort: skip
from ordersync.cli import resolve as resolve  # isort: skip
from ordersync.cli import map_file as map_file  # isort: skip
from ordersync.cli import connectors as connectors  # isort: skip
from ordersync.cli.app import app
from ordersync.cli.printing import replace_what_cannot_be_shown
from ordersync.cli.run import stop_on_sigterm

GC_THRESHOLD = 50_000
"""Loading a command's modules makes hundreds of thousands of objects that stay: looking through them for garbage at
every 700th takes a tenth of a second of each start."""


def main() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # open as long as the process lives
    replace_what_cannot_be_shown(sys.stdout)
    replace_what_cannot_be_shown(sys.stderr)
    signal.signal(signal.SIGTERM, stop_on_sigterm)
    gc.set_threshold(GC_THRESHOLD)
    app(prog_name="ordersync")


if __name__ == "__main__":
    main()
