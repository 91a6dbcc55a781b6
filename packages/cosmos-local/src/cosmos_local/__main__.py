"""Serve an Azure Cosmos DB for NoSQL account on this machine, for any program and any SDK."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from pathlib import Path

from cosmos_local.authority import LOCAL_KEY
from cosmos_local.catalogue import MAX_RANGES
from cosmos_local.certificate import server_context
from cosmos_local.control import read_fault
from cosmos_local.database import DEFAULT_RANGES, LocalCosmos
from cosmos_local.errors import Refusal
from cosmos_local.faults import Fault
from cosmos_local.headers import CONSISTENCY
from cosmos_local.server import serve
from cosmos_local.storage import DatabaseInUseError

CERTIFICATES = Path(".cosmos-local")


def main() -> None:
    """Serve until interrupted."""
    options = _options()
    try:
        cosmos = LocalCosmos.open(
            options.data,
            options.declaration,
            consistency=options.consistency,
            allow_create=options.allow_create or options.declaration is None,
            ranges=options.ranges,
        )
    except DatabaseInUseError as error:
        raise SystemExit(str(error)) from error
    cosmos.gateway.authority.entra = not options.refuse_entra
    for fault in options.faults or []:
        cosmos.faults.add(fault)
    try:
        asyncio.run(_serve(cosmos, options))
    except OSError as error:
        raise SystemExit(f"cannot listen on port {options.port}: {error}") from error
    finally:
        cosmos.close()


async def _serve(cosmos: LocalCosmos, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows interrupts asyncio.run instead
            loop.add_signal_handler(number, stop.set)
    tls = None if options.http else server_context(options.certificates)
    async with serve(cosmos, options.port, tls=tls, control=options.control) as address:
        print(f"{address}  key {LOCAL_KEY}", flush=True)
        await stop.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cosmos-local", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8081, help="0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--http",
        action="store_true",
        help="plain http instead of https with a self-signed certificate",
    )
    parser.add_argument(
        "--data", type=Path, help="the database file; without it, everything is in memory"
    )
    parser.add_argument(
        "--declaration", type=Path, help="JSON file with the database and containers to start with"
    )
    parser.add_argument(
        "--certificates",
        type=Path,
        default=CERTIFICATES,
        help="folder of the self-signed certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-create",
        action="store_true",
        help="let clients create databases and containers; implied without --declaration",
    )
    parser.add_argument("--faults", type=_faults, help="JSON file with a list of faults to set")
    parser.add_argument("--refuse-entra", action="store_true", help="answer 401 to Entra tokens")
    parser.add_argument(
        "--control", action="store_true", help="serve the control API for faults and the clock"
    )
    parser.add_argument(
        "--ranges",
        type=_ranges,
        default=DEFAULT_RANGES,
        metavar="N",
        help="partition key ranges of a new container, 1 to 16, or 'service': one for each "
        "10,000 RU/s (default: %(default)s)",
    )
    parser.add_argument("--consistency", choices=CONSISTENCY, default="Strong")
    return parser.parse_args()


def _faults(name: str) -> list[Fault]:
    try:
        return [read_fault(fault) for fault in json.loads(Path(name).read_text())]
    except (OSError, ValueError, AttributeError, Refusal) as error:
        raise argparse.ArgumentTypeError(f"no list of faults in {name}: {error}") from error


def _ranges(text: str) -> int | None:
    if text == "service":
        return None
    if not text.isdigit() or not 1 <= int(text) <= MAX_RANGES:
        raise argparse.ArgumentTypeError(f"'{text}' is neither 1 to {MAX_RANGES} nor 'service'")
    return int(text)


if __name__ == "__main__":
    main()
