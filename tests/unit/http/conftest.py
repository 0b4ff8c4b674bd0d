"""The public application over fakes, and a loop to drive it in."""

import asyncio
from contextlib import suppress

import pytest

from tests.http_fakes import Service
from tests.log_fakes import Served


@pytest.fixture
def service():
    """Makes services: call it inside the running loop, with the policy's bounds to change."""
    return Service


@pytest.fixture
def serving(service):
    """`serving()`: a service whose log has 600 records, all of them signed, and the log behind it."""

    def make(**policy):
        running, served = service(**policy), Served(600)
        served.sign()
        running.read_from(served.reader)
        return running, served

    return make


@pytest.fixture
def drive():
    """Runs a coroutine function to its end in a loop of its own, with nothing left running."""

    def drive(scenario):
        async def main():
            await scenario()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*left, return_exceptions=True)

        asyncio.run(main())

    return drive
