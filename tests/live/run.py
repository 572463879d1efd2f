"""`make live`: a real Medusa and a real PostgreSQL from nothing, the tests of this folder against them, and an end.

Ends everything it started, also when it is interrupted or killed. Exit code: that of the tests; 0 also where the
machine cannot run a Medusa, and then says that nothing was tested.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.live import medusa_npm, postgres
from tests.live.back_office import Admin, BackOffice
from tests.live.leash import Leash
from tests.live.medusa_server import medusa
from tests.live.seed_orders import seed_orders
from tests.live.shop_opening import open_shop
from tests.live.state import RECORD, VARIABLE, Live

_TESTS_WITHIN_S = 600


def main() -> int:
    asked = _arguments()
    for end in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs ignore SIGINT unless told
        signal.signal(end, _interrupt)
    reason = medusa_npm.missing() or postgres.missing()
    if reason:
        return _skipped(reason)
    folder = Path(tempfile.mkdtemp(prefix="ordersync-live-"))
    try:
        return _run(asked, folder)
    except medusa_npm.NoRegistry as unreachable:
        if asked.skip_without_registry:
            return _skipped(str(unreachable))
        return _failed(f"before any test: {unreachable}; Medusa is installed from it once")
    except (medusa_npm.InstallFailed, postgres.NotStarted, TimeoutError) as failed:
        return _failed(f"before any test: {failed}")
    except KeyboardInterrupt:
        print("LIVE: stopped; everything that was started has ended", flush=True)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(asked: argparse.Namespace, folder: Path) -> int:
    begun_at = time.monotonic()

    def tell(what: str) -> None:
        print(f"live: {time.monotonic() - begun_at:5.0f} s  {what}", flush=True)

    if medusa_npm.installed() is None:
        tell("installing Medusa from npm, once")
    installed = medusa_npm.install(folder / "npm.log")
    with postgres.postgres(folder / "postgres.log") as database:
        tell(f"PostgreSQL on port {database.port}; making Medusa's tables")
        with medusa(installed, database, folder) as server:
            tell(f"Medusa at {server.origin}; opening the shop, placing orders")
            staff = Admin(server.origin, f"Bearer {server.login()}")
            opened = open_shop(staff)
            staff.close()
            office = BackOffice(server, opened)
            live = Live(server, opened, seed_orders(office))
            office.close()
            state = folder / "state.json"
            live.save(state)
            tell(f"{len(live.seeded)} orders are there")
            if asked.serve:
                print(f"{VARIABLE}={state}\nCtrl-C ends it.", flush=True)
                return _wait_for_interrupt()
            with _environment(state, record=asked.record):
                only = ["tests/live/test_live_recording.py"] if asked.record else ["tests/live"]
                command = [sys.executable, "-m", "pytest", *(asked.pytest or [*only, "-q"])]
                leash = Leash(command, stop_signal=signal.SIGINT, grace_s=30)
                try:
                    code = leash.finish(asked.within)
                except TimeoutError:
                    return _failed(f"the tests did not end within {asked.within:g} s")
            tell("the tests have ended")
    print(f"LIVE: {'passed' if code == 0 else 'FAILED'}, against a real Medusa", flush=True)
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make live", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="start everything, print where, wait for Ctrl-C")
    parser.add_argument(
        "--skip-without-registry", action="store_true", help="no npm registry: say so and end well (CI)"
    )
    parser.add_argument("--record", action="store_true", help="only write tests/cassettes/medusa anew")
    parser.add_argument("--within", type=float, default=_TESTS_WITHIN_S, help="seconds the tests may take")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest (after --)")
    return parser.parse_args()


def _wait_for_interrupt() -> NoReturn:
    while True:
        signal.pause()


@contextmanager
def _environment(state: Path, *, record: bool) -> Iterator[None]:
    told = {VARIABLE: str(state), **({RECORD: "1"} if record else {})}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _skipped(reason: str) -> int:
    print(f"LIVE: SKIPPED, nothing was tested: {reason}", flush=True)
    return 0


def _failed(reason: str) -> int:
    print(f"LIVE: FAILED, {reason}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
