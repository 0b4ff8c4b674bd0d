"""The public application over fakes, and a loop to drive it in."""

import asyncio
from contextlib import suppress

import pytest

from tests.http_fakes import Service


@pytest.fixture
def service():
    """Makes services: call it inside the running loop, with the policy's bounds to change."""
    return Service


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
