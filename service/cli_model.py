"""`medai model list | verify`."""

import argparse
import os
from collections.abc import Sequence

from service import settings as service_settings
from service.adapters import model_store
from service.adapters.onnx_model import RuntimeSettings


def show(arguments: Sequence[str]) -> int:
    """One line a model, and what its owner says that it is for."""
    argparse.ArgumentParser(prog="medai model list", description="List the models.").parse_args(arguments)
    for model in _inspected():
        print(f"{model.name}@{model.version}  {model.sha256 or '-'}  {model.title or '-'}")
        if model.notice is not None:
            print(f"    {model.notice}")
    return 0


def verify(arguments: Sequence[str]) -> int:
    """Digest, card, graph and golden vectors of each; exit 1 where one may not serve."""
    argparse.ArgumentParser(prog="medai model verify", description="Check every model.").parse_args(arguments)
    rejected = 0
    for model in _inspected():
        print(f"{model.name}@{model.version}  {'ok' if model.rejected is None else model.rejected}")
        rejected += model.rejected is not None
    return 1 if rejected else 0


def _inspected() -> tuple[model_store.Description, ...]:
    settings = service_settings.read(os.environ)
    shipped = (model_store.BUNDLED,) if settings.shipped_models == "yes" else ()
    runtime = RuntimeSettings(
        inference_threads=settings.inference_threads,
        intra_op_threads=settings.intra_op_threads,
        optimization=settings.optimization,
    )
    return model_store.inspect((*shipped, *service_settings.model_folders(settings)), runtime)
