"""Runs a model with ONNX Runtime: the only importer of onnxruntime.

Sessions run on the CPU in a bounded pool of our own threads (never `run_async`, whose threads nobody bounds), with
thread counts said outright: the default is the host's cores, whatever share of them a container may use.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Annotated, Final, Literal, TypeVar

import numpy as np
import onnxruntime
from msgspec import Meta, Struct

from service.adapters.onnx_graph import refuse_external_data
from service.domain.card import Card
from service.domain.messages import Float32, RuntimeIdentity
from service.domain.ports import Run
from service.errors import InferenceFailed, ModelRejected
from traceability.marks import implements

T = TypeVar("T")
Optimization = Literal["disabled", "basic", "extended", "all"]
PROVIDER: Final = "CPUExecutionProvider"
_LEVELS: Final = {
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class RuntimeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How models are run. More processes with one thread each outrun one process with more threads.

    `inference_threads` is how many images are judged at once in this process; `intra_op_threads` how many
    threads one image may use. `optimization` is recorded: results may differ in their last digits between levels.
    """

    inference_threads: Annotated[int, Meta(ge=1, le=64)] = 1
    intra_op_threads: Annotated[int, Meta(ge=1, le=64)] = 1
    optimization: Optimization = "all"


def inference_pool(settings: RuntimeSettings) -> ThreadPoolExecutor:
    """The threads that all models of a process share. The caller shuts it down."""
    return ThreadPoolExecutor(max_workers=settings.inference_threads, thread_name_prefix="inference")


class OnnxModel:
    """A loaded model: `body` has the card's digest, holds all its weights, and has the card's input and output."""

    def __init__(self, card: Card, body: bytes, *, settings: RuntimeSettings, pool: ThreadPoolExecutor) -> None:
        _check_digest(card, body)
        refuse_external_data(body)
        self._card = card
        self._pool = pool
        self._session = _session(card, body, settings)
        _check_contract(card, self._session)
        self._runtime = RuntimeIdentity(
            name="onnxruntime",
            version=onnxruntime.__version__,
            provider=PROVIDER,
            optimization=settings.optimization,
        )

    @property
    def card(self) -> Card:
        return self._card

    @property
    def runtime(self) -> RuntimeIdentity:
        return self._runtime

    @implements("REQ-INF-035")
    async def compute(self, step: Callable[[Run], T]) -> T:
        """`step(run)` on a thread of the pool. A caller that is cancelled leaves; its step runs to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, step, self.run)

    def run(self, batch: Float32) -> Float32:
        """The raw output for one input, on the calling thread. Raises `InferenceFailed`."""
        try:
            output = self._session.run([self._card.output.tensor], {self._card.input.tensor: batch})[0]
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise InferenceFailed(f"model {self._card.name} could not be run") from error
        result: Float32 = np.asarray(output, dtype=np.float32)
        return result


@implements("REQ-INF-015")
def _check_digest(card: Card, body: bytes) -> None:
    digest = sha256(body).hexdigest()
    if digest != card.sha256:
        raise ModelRejected(
            f"model {card.name}@{card.version}: model.onnx has SHA-256 {digest}, its card says {card.sha256}; "
            "put back the file that the card was made for"
        )


def _session(card: Card, body: bytes, settings: RuntimeSettings) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = _LEVELS[settings.optimization]
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # fatal only: its messages go to stderr past our log and its allow-list
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle thread gives its core away
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never ORT's own format, which is not walked
    try:
        return onnxruntime.InferenceSession(body, options, providers=[PROVIDER])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise ModelRejected(
            f"model {card.name}@{card.version}: ONNX Runtime {onnxruntime.__version__} cannot load model.onnx; "
            "export it again with operators that this version has"
        ) from error


@implements("REQ-INF-019")
def _check_contract(card: Card, session: onnxruntime.InferenceSession) -> None:
    """Exactly one input and one output, with the card's names; shapes fixed; one logit."""
    channels = 3 if card.input.color == "rgb" else 1
    wanted = [(card.input.tensor, "tensor(float)", [1, channels, card.input.rows, card.input.columns])]
    inputs = [(each.name, each.type, each.shape) for each in session.get_inputs()]
    if inputs != wanted:
        raise ModelRejected(f"model {card.name}@{card.version}: its input is {inputs}, the card's {wanted}")
    outputs = [(each.name, each.type, each.shape) for each in session.get_outputs()]
    admitted = [[(card.output.tensor, "tensor(float)", shape)] for shape in ([1, 1], [1])]
    if outputs not in admitted:
        raise ModelRejected(f"model {card.name}@{card.version}: its output is {outputs}, the card's one of {admitted}")
