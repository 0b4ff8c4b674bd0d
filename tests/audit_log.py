"""A small log around any record: a key that protects nothing, one receipt and one saved answer."""

import hashlib

from msgspec import Struct

from audit import checkpoint, evidence, merkle, note, receipt, record
from audit.checkpoint import Checkpoint
from audit.receipt import Policy, Receipt

REQUEST_ID = "0190f0c4-6d1a-7b3e-8f21-aaaaaaaaaaaa"
EVENT_ID = "3f2b8a54-1111-4c7d-9b0a-222222222222"


class Log(Struct, frozen=True, kw_only=True):
    """A log of `size` records of which only the one at `index` is not made up."""

    signer: note.Signer
    index: int
    size: int
    body: bytes
    path: tuple[bytes, ...]
    checkpoint: str
    answer: dict[str, object]

    @property
    def policy(self) -> Policy:
        return Policy(logs=(self.signer.verifier,))

    @property
    def receipt(self) -> Receipt:
        return Receipt(index=self.index, path=self.path, checkpoint=self.checkpoint, extra=self.body)

    @property
    def proof(self) -> str:
        return receipt.format(self.receipt)


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def an_answer() -> dict[str, object]:
    return {
        "format": "medai.answer/1",
        "request_id": REQUEST_ID,
        "correlation_id": REQUEST_ID,
        "model": {"name": "ct-slice", "version": "1.0.0", "sha256": digest("model")},
        "finding": {
            "decision": "positive",
            "label": "lesion",
            "probability_ppm": 912_345,
            "threshold_ppm": 500_000,
            "reasons": ["above_threshold"],
        },
        "input": {
            "media_type": "image/png",
            "sha256": digest("bytes"),
            "pixels_sha256": digest("pixels"),
            "rows": 512,
            "columns": 512,
            "frame": None,
            "window": {"source": "none", "center_milli": None, "width_milli": None},
        },
        "quality": {"verdict": "passed", "contrast_ppm": 300_000, "clipped_ppm": 0},
        "intended_use": "Demonstration only \N{EM DASH} not for clinical use.",
        "latency_ms": 12,
    }


def a_prediction(answer: dict[str, object]) -> record.Prediction:
    return record.Prediction(
        format="medai.record/1",
        event_id=EVENT_ID,
        recorded_at_us=1_790_000_000_000_000,
        request_id=REQUEST_ID,
        correlation_id=REQUEST_ID,
        method="POST",
        route="/infer",
        status=200,
        actor="pacs",
        peer=f"k1:{digest('peer')}",
        release=None,
        model=record.ModelRef(name="ct-slice", version="1.0.0", sha256=digest("model")),
        finding=record.Finding(
            decision="positive",
            label="lesion",
            probability_ppm=912_345,
            threshold_ppm=500_000,
            reasons=("above_threshold",),
        ),
        input=record.Input(
            media_type="image/png",
            sha256=digest("bytes"),
            pixels_sha256=digest("pixels"),
            rows=512,
            columns=512,
            window=record.WindowUsed(source="none"),
        ),
        quality=record.Quality(verdict="passed", contrast_ppm=300_000, clipped_ppm=0),
        runtime=record.Runtime(name="onnxruntime", version="1.0", provider="CPUExecutionProvider", optimization="all"),
        answer_sha256=evidence.answer_sha256(answer),
    )


def log_of(
    body: bytes, answer: dict[str, object], *, index: int = 5, size: int = 13, name: str = "log.example/a"
) -> Log:
    """A signed log that holds `body` at `index`, and the answer with its ledger member."""
    signer = note.Signer.generate(name, bytes(range(32)))
    leaves = [hashlib.sha256(bytes([at])).digest() for at in range(size)]
    leaves[index] = merkle.leaf_hash(body)
    tree = merkle.BatchTree(0, (), leaves)
    text = checkpoint.format(Checkpoint(origin=name, size=size, root=tree.root))
    log = Log(
        signer=signer,
        index=index,
        size=size,
        body=body,
        path=tree.path(index),
        checkpoint=note.sign(text, [signer]),
        answer={},
    )
    ledger = {"index": index, "leaf_hash": leaves[index].hex(), "proof": log.proof}
    log.answer.update({**answer, "ledger": ledger})
    return log
