"""One checkpoint on its way round the witnesses: who was asked, who cosigned, and whether that is worth storing.

Witnesses must cosign the same checkpoint for a quorum to form, however fast the log grows. So all are sent the same
one, round by round; who is slow misses rounds and holds up nobody.

Pure.
"""

from collections.abc import Iterable

from audit import attestation
from audit.attestation import Adopted
from audit.note import Signature
from audit.ports import Cosigned
from traceability.marks import implements


@implements("REQ-PUB-006")
class Round:
    """The cosignatures over one signed checkpoint. `waiting` are the witnesses whose first answer is still awaited."""

    def __init__(self, size: int, signed: str, adopted: Adopted, witnesses: Iterable[str]) -> None:
        self.size = size
        self.signed = signed
        self.waiting = set(witnesses)
        self._adopted = adopted
        self._order = {(one.key.name, one.key.key_hash): at for at, one in enumerate(adopted.policy.witnesses)}
        self._lines: dict[tuple[str, bytes], Signature] = {}
        self._kept = Cosigned(size=size, checkpoint=b"", attested=False, policy=adopted.text)  # nothing yet

    def add(self, lines: Iterable[Signature]) -> None:
        """These verify over the checkpoint. The first of a key stays; of keys that the policy lacks none is kept."""
        for line in lines:
            key = (line.name, line.key_id)
            if key in self._order:
                self._lines.setdefault(key, line)

    def has(self, keys: Iterable[tuple[str, bytes]]) -> bool:
        """Whether all of these keys have cosigned."""
        return set(keys) <= self._lines.keys()

    def due(self) -> Cosigned | None:
        """What is to be stored now: at once where the quorum is met by it, else when nothing more is awaited."""
        lines = sorted(self._lines.items(), key=lambda item: self._order[item[0]])
        whole = (self.signed + "".join(line.line for _, line in lines)).encode()
        if not lines or whole == self._kept.checkpoint:
            return None
        attested = attestation.judge(whole, self._adopted.policy).attested
        if self.waiting and not (attested and not self._kept.attested):
            return None
        return Cosigned(size=self.size, checkpoint=whole, attested=attested, policy=self._adopted.text)

    def kept(self, cosigned: Cosigned) -> None:
        """This much is stored."""
        self._kept = cosigned
