"""Loads the models that a service answers with: every folder NAME/VERSION below the given ones.

Fails closed: one card, digest or golden vector that is off, and nothing is loaded. docs/models.md says how a
hospital brings its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from service.adapters import model_golden
from service.adapters.onnx_model import OnnxModel, RuntimeSettings, inference_pool
from service.domain.card import Card
from service.domain.card import verify as verify_card
from service.domain.identity import model_reference, version_order
from service.domain.messages import RuntimeIdentity
from service.domain.ports import Model
from service.errors import ModelRejected, ModelUnknown, RequestInvalid
from traceability.marks import implements

BUNDLED: Final = Path(__file__).resolve().parent.parent / "models"
MAX_CARD_BYTES: Final = 256 * 1024
MAX_MODEL_BYTES: Final = 2 * 1024**3 - 1  # a protocol buffer's own limit


class Description(Struct, frozen=True, kw_only=True):
    """A model in a list. `rejected` says why it may not serve, and is None where it may."""

    name: str
    version: str
    sha256: str | None
    title: str | None
    notice: str | None
    rejected: str | None


class ModelStore:
    """The loaded models (the port `Models`). Close it to end its threads."""

    def __init__(self, models: Iterable[tuple[OnnxModel, model_golden.Loaded]], pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._vectors = tuple(models)
        self._by_name: dict[str, list[OnnxModel]] = defaultdict(list)
        for model, _ in self._vectors:
            self._by_name[model.card.name].append(model)
        for versions in self._by_name.values():
            versions.sort(key=lambda model: version_order(model.card.version), reverse=True)

    @implements("REQ-INF-020")
    def find(self, wanted: str | None) -> Model:
        """The newest version of the name, or the version asked for. None means the only name that there is: among
        several, which model answers must not hang on a default, so a caller has to say (`RequestInvalid`)."""
        if wanted is None:
            if len(self._by_name) == 1:
                return next(iter(self._by_name.values()))[0]
            raise RequestInvalid(f"model: say which; this service has {', '.join(sorted(self._by_name))}")
        reference = model_reference(wanted)
        for model in self._by_name.get(reference.name, ()):
            if reference.version in (None, model.card.version):
                return model
        raise ModelUnknown("no such model or version is loaded; GET /version lists them")

    def all(self) -> tuple[Model, ...]:
        """Every model, by name, newest version first."""
        return tuple(model for name in sorted(self._by_name) for model in self._by_name[name])

    def verify(self) -> None:
        """Runs every golden vector again. Raises `ModelRejected`; blocks for some runs of each model."""
        for model, vectors in self._vectors:
            model_golden.verify(model, vectors)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def load(folders: Sequence[Path], settings: RuntimeSettings) -> ModelStore:
    """Every model below `folders`, checked in full: card, digest, graph, golden vectors.

    Raises `ModelRejected` for the first that is off, for the same NAME@VERSION twice, and for none at all.
    """
    pool = inference_pool(settings)
    try:
        models = [_load(folder, settings, pool) for folder in _find(folders)]
        _refuse_duplicates([model.card for model, _ in models])
        return ModelStore(models, pool)
    except BaseException:
        pool.shutdown(wait=False)
        raise


def describe(models: Iterable[Model]) -> tuple[Description, ...]:
    """What `medai model list` shows of loaded models."""
    return tuple(_description(model.card) for model in models)


def inspect(folders: Sequence[Path], settings: RuntimeSettings) -> tuple[Description, ...]:
    """What `medai model verify` shows: each model below `folders`, and why it is rejected where it is.

    Raises `ModelRejected` only where there is no folder to look into.
    """
    with inference_pool(settings) as pool:
        return tuple(_inspect(folder, settings, pool) for folder in _find(folders))


def runtimes(models: Iterable[Model]) -> tuple[RuntimeIdentity, ...]:
    """Each distinct runtime among the models."""
    return tuple(dict.fromkeys(model.runtime for model in models))


def _find(folders: Sequence[Path]) -> list[Path]:
    """Every NAME/VERSION below the folders that holds a card, in order."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ModelRejected(f"models: {folder} is no folder; correct the setting or make it")
        here = sorted(card.parent for card in folder.glob("*/*/card.toml"))
        if not here:
            raise ModelRejected(f"models: {folder} holds no NAME/VERSION/card.toml")
        found += here
    if not found:
        raise ModelRejected("models: no folder is named; a service without a model has no use")
    return found


def _load(folder: Path, settings: RuntimeSettings, pool: ThreadPoolExecutor) -> tuple[OnnxModel, model_golden.Loaded]:
    """In this order: the card, its agreement with the folder's name, the digest, the graph, the golden vectors."""
    card = _card(folder)
    model = OnnxModel(card, _read(folder / "model.onnx", MAX_MODEL_BYTES), settings=settings, pool=pool)
    vectors = model_golden.read(folder / "golden")
    model_golden.verify(model, vectors)
    return model, vectors


@implements("REQ-INF-017")
def _card(folder: Path) -> Card:
    where = f"{folder.parent.name}/{folder.name}/card.toml"
    try:
        card = msgspec.toml.decode(_read(folder / "card.toml", MAX_CARD_BYTES), type=Card)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ModelRejected(f"{where}: {error}; see docs/models.md for its members") from error
    verify_card(card)
    if (card.name, card.version) != (folder.parent.name, folder.name):
        raise ModelRejected(f"{where}: names {card.name} {card.version}; the folder must be called NAME/VERSION")
    return card


def _read(path: Path, limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise ModelRejected(f"{path.name}: {size} bytes, at most {limit}")
        return path.read_bytes()
    except OSError as error:
        raise ModelRejected(f"{path.parent.parent.name}/{path.parent.name}/{path.name} cannot be read") from error


def _refuse_duplicates(cards: Iterable[Card]) -> None:
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for card in cards:
        key = (card.name, version_order(card.version))
        if key in seen:
            raise ModelRejected(f"model {card.name}@{card.version} is there twice; remove one of its folders")
        seen.add(key)


def _inspect(folder: Path, settings: RuntimeSettings, pool: ThreadPoolExecutor) -> Description:
    try:
        model, _ = _load(folder, settings, pool)
    except ModelRejected as error:
        return Description(
            name=folder.parent.name,
            version=folder.name,
            sha256=None,
            title=None,
            notice=None,
            rejected=str(error),
        )
    return _description(model.card)


def _description(card: Card) -> Description:
    return Description(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        title=card.title,
        notice=card.notice,
        rejected=None,
    )
