"""`medai demo`: hands the demonstration the embedded PostgreSQL, which it may not know by itself."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from audit.postgres import embedded
from audit.settings import places
from service import settings as service_settings
from service.demo import Cluster, demonstrate


def demo(arguments: Sequence[str]) -> int:
    """0 where everything was as it has to be."""
    argparse.ArgumentParser(prog="medai demo", description="Show the whole way of an answer.").parse_args(arguments)
    cluster = Cluster(start=_start, running=lambda home: embedded.running(home) is not None, stop=embedded.stop)
    settings = service_settings.read(os.environ)
    return demonstrate(places(os.environ).home, cluster, (settings.port, settings.internal_port))


def _start(home: Path) -> str:
    return embedded.start(home).admin_url
