"""The release that a worker runs under, as its settings give it, and the record of it."""

from pathlib import Path
from typing import Final, Literal

from audit import record
from service.adapters import model_store, release
from service.errors import SettingInvalid
from service.settings import Settings

MAX_SIGNERS: Final = 16
"""Of a release, as many as a record holds."""


def of(settings: Settings, models: model_store.ModelStore) -> release.Active | None:
    """The release that was given; None without one. In production there must be one, and it must be what runs.

    Raises `ReleaseRejected`, and `SettingInvalid` for a setting without the one that it needs.
    """
    if not settings.release_file:
        if settings.environment == "production":
            raise SettingInvalid("MEDAI_RELEASE_FILE: in production the service runs only what was released; give it")
        return None
    if not settings.release_keys_file:
        raise SettingInvalid("MEDAI_RELEASE_KEYS_FILE: whose signature of the release is to be trusted?")
    return release.load(
        Path(settings.release_file),
        Path(settings.release_keys_file),
        Path(settings.release_page_file) if settings.release_page_file else None,
        {f"{model.card.name}@{model.card.version}": model.card.sha256 for model in models.all()},
        environment=settings.environment,
    )


def activated(
    active: release.Active, *, environment: Literal["development", "production"], process_id: str, now_us: int
) -> record.ReleaseActivated:
    """The record that from here on this process's records name `active`."""
    return record.ReleaseActivated(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=now_us,
        process_id=process_id,
        release=active.digest,
        version=active.version,
        commit=active.commit,
        environment=environment,
        differences=len(active.differences),
        signed_by=active.signed_by[:MAX_SIGNERS],
    )
