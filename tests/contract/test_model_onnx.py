"""What ONNX Runtime is asked to do: on which threads, how many at once, and what becomes of a step that fails."""

import asyncio
import threading

import numpy as np
import pytest

from service.adapters import model_store
from service.adapters.onnx_model import OnnxModel, RuntimeSettings, inference_pool
from service.errors import InferenceFailed, ModelRejected

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def store():
    opened = model_store.load([model_store.BUNDLED], RuntimeSettings(inference_threads=1))
    yield opened
    opened.close()


@pytest.fixture
def model(store):
    return store.find(None)


@pytest.mark.verifies("REQ-INF-035")
async def test_a_step_runs_on_a_thread_of_the_pool(model):
    name = await model.compute(lambda _: threading.current_thread().name)
    assert name.startswith("inference")


@pytest.mark.verifies("REQ-INF-035")
async def test_no_more_steps_run_at_once_than_there_are_threads(model):
    running, most = [], []

    def step(_):
        running.append(1)
        most.append(len(running))
        running.pop()

    await asyncio.gather(*(model.compute(step) for _ in range(20)))
    assert max(most) == 1


@pytest.mark.verifies("REQ-INF-035")
async def test_what_a_step_raises_reaches_its_caller(model):
    def step(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await model.compute(step)


@pytest.mark.verifies("REQ-INF-035")
async def test_a_step_whose_caller_left_does_not_stop_the_next(model):
    held = threading.Event()
    left = asyncio.create_task(model.compute(lambda _: held.wait(60)))
    await asyncio.sleep(0)
    left.cancel()
    held.set()
    assert await model.compute(lambda _: "next") == "next"


async def test_an_input_of_another_shape_is_a_failed_inference(model):
    with pytest.raises(InferenceFailed):
        await model.compute(lambda run: run(np.zeros((1, 1, 8, 8), np.float32)))


@pytest.mark.verifies("REQ-INF-015")
@pytest.mark.parametrize("level", ["disabled", "basic", "extended", "all"])
def test_the_golden_vectors_pass_at_every_optimisation_level(level):
    described = model_store.inspect([model_store.BUNDLED], RuntimeSettings(optimization=level))
    assert [each.rejected for each in described] == [None]


def test_the_optimisation_level_is_part_of_the_runtime(model):
    body = (model_store.BUNDLED / model.card.name / model.card.version / "model.onnx").read_bytes()
    settings = RuntimeSettings(optimization="basic")
    with inference_pool(settings) as pool:
        other = OnnxModel(model.card, body, settings=settings, pool=pool)
    assert other.runtime.optimization == "basic"


@pytest.mark.verifies("REQ-INF-015")
def test_bytes_without_the_cards_digest_never_reach_the_runtime(model):
    settings = RuntimeSettings()
    with inference_pool(settings) as pool, pytest.raises(ModelRejected, match="SHA-256"):
        OnnxModel(model.card, b"ORTM", settings=settings, pool=pool)
