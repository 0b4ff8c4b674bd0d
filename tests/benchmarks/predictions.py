"""Records as `POST /infer` makes them, in content and in size."""

from itertools import count

from audit import record
from audit.clock import SystemClock
from audit.record import Prediction

_DIGESTS = count()


def prediction() -> Prediction:
    """A new record of nobody; every member that a real one may hold is there."""
    serial = next(_DIGESTS)
    return Prediction(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=SystemClock().now_us(),
        request_id=record.new_event_id(),
        correlation_id=record.new_event_id(),
        traceparent=f"00-{serial:032x}-{serial:016x}-01",
        method="POST",
        route="/infer",
        status=200,
        actor="bench-infer",
        peer=f"k1:{serial % 100:064x}",
        release=None,
        model=record.ModelRef(name="ct-lesion-demo", version="1.0.0", sha256="a" * 64),
        finding=record.Finding(
            decision="positive" if serial % 3 == 0 else "negative",
            label="lesion",
            probability_ppm=serial * 7919 % 1_000_001,
            threshold_ppm=500_000,
            reasons=(),
        ),
        input=record.Input(
            media_type="application/dicom",
            sha256=f"{serial * 31:064x}",
            pixels_sha256=f"{serial * 37:064x}",
            rows=512,
            columns=512,
            window=record.WindowUsed(source="card", center_milli=40_000, width_milli=400_000),
        ),
        quality=record.Quality(verdict="passed", contrast_ppm=serial * 104_729 % 1_000_001, clipped_ppm=serial % 1_000),
        subject=record.Subject(patient=f"k1:{serial:064x}", study=f"k1:{serial * 3:064x}"),
        runtime=record.Runtime(
            name="onnxruntime", version="1.32.0", provider="CPUExecutionProvider", optimization="all"
        ),
        answer_sha256=f"{serial * 41:064x}",
    )
