"""What a worker is entrusted with: its secrets, and by them the book of tokens and the key of pseudonyms."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from audit import entra, secrets_configured
from audit.clock import SystemClock
from audit.secrets_configured import Secrets
from audit.settings import entra_settings, places
from service import settings as service_settings
from service.adapters import entra_tokens, secrets, token_books, tokens
from service.adapters.telemetry import Telemetry
from service.http.ports import TokenBook
from service.settings import Settings


async def secrets_of(environment: Mapping[str, str], metrics: Telemetry, resources: AsyncExitStack) -> Secrets:
    """Every secret was read once. Raises as `audit.secrets_configured.opened`: then the worker does not begin."""
    opening = secrets_configured.opened(environment, metrics.failed)
    found = await asyncio.to_thread(opening.__enter__)
    resources.push(opening.__exit__)
    return found


def pseudonyms_of(settings: Settings, home: Path, held: Secrets, metrics: Telemetry) -> secrets.CurrentPseudonyms:
    """Raises `SettingInvalid` where the key is not one."""
    file = secrets.file_of(service_settings.pseudonym_key_file(settings, home))
    return secrets.CurrentPseudonyms(held.pseudonym_key(file), failed=metrics.failed)


async def tokens_of(
    settings: Settings, environment: Mapping[str, str], held: Secrets, metrics: Telemetry, resources: AsyncExitStack
) -> TokenBook:
    """The book of tokens that the settings ask for, and no more parts of it than they do.

    Raises `IdentityUnavailable` where Entra's tokens are to be taken and its keys are not to be had.
    """
    now_us = SystemClock().now_us
    file = tokens.file_of(service_settings.tokens_file(settings, places(environment).home))
    opaque = tokens.TokenFile(held.token_hashes(file), now_us=now_us, failed=metrics.failed)
    book: tokens.TokenFile | token_books.BothBooks = opaque
    knobs = entra_settings(environment)
    if knobs.tenant_id:
        issued = entra_tokens.EntraTokens(knobs, entra.keys(knobs, metrics.failed), now_us=now_us)
        await resources.enter_async_context(issued.looking())
        book = token_books.BothBooks(opaque, issued)
    return token_books.ConfirmedBook(book, held.stale) if held.has_vault else book
