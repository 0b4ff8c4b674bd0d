"""Which status, media type and words each request is answered with (C2SP tlog-witness)."""

import os

import pytest

from audit import note
from audit.cosignature import Cosigner
from audit.errors import SettingInvalid
from audit.witness import folder, logs, settings
from audit.witness.answers import Answers, Asked
from audit.witness.logs import Log, origin_hash
from audit.witness.rates import Rates
from audit.witness.witness import Witness
from tests.witness_log import tree

LOG, FORKED, UNKNOWN = tree(), tree(salt="forked"), tree("log.example/unknown")
ED = Cosigner("witness.example/w1", b"1" * 32)
STRANGER = note.Signer(LOG.origin, b"s" * 32)
CHECKPOINT = f"/{origin_hash(LOG.origin)}/checkpoint"


class World:
    """A witness, what it reported, and the time for its rates."""

    def __init__(self, tmp_path, *, peer_rate=1_000, log_rate=1_000):
        folder.create_state(tmp_path, [ED.verifier])
        self.told: list[tuple[str, int, int, int]] = []
        self.folder, self.monotonic_s = tmp_path, 0.0
        known = {LOG.origin: Log(origin=LOG.origin, keys=(LOG.signer.verifier,))}
        state = folder.open_state(tmp_path, [ED.verifier], lock_deadline_ms=1_000)
        rates = [Rates(rate, lambda: self.monotonic_s, at_most=16) for rate in (peer_rate, log_rate, log_rate)]
        witness = Witness(
            known, [ED], state, lambda: 1_790_000_000, rates[1].admits,
            clock_tolerance_s=0, max_kept_conflicts=1, fresh_s=0,
        )  # fmt: skip
        report = lambda *line: self.told.append(line)  # noqa: E731  # one line is what it does
        self.answers = Answers(witness, rates[0], rates[2], report, max_proof_hashes=63)

    def ask(self, method, target, body=b"", peer="192.0.2.1"):
        return self.answers.answer(Asked(method=method, target=target, body=body, peer=peer))

    def add(self, body, peer="192.0.2.1"):
        return self.ask("POST", "/add-checkpoint", body, peer)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.verifies("REQ-WIT-003")
def test_what_is_cosigned_is_answered_with_signature_lines(world):
    found = world.add(LOG.body(0, 5))
    assert (found.status, found.body[:4], found.body[-1:]) == (200, "\N{EM DASH} ".encode(), b"\n")


@pytest.mark.verifies("REQ-WIT-003")
@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"old 5", 400),
        (LOG.body(0, 5, proof=(bytes(32),) * 64), 400),
        (LOG.body(6, 5, proof=()), 400),
        (LOG.body(0, 5, signed=note.sign(LOG.text(5), [STRANGER])), 403),
        (LOG.body(0, 5, signed=LOG.signed(5).replace(LOG.text(5), LOG.text(6))), 403),
        (UNKNOWN.body(0, 5), 404),
        (LOG.body(3, 5), 409),
        (LOG.body(0, 5, proof=(bytes(32),)), 422),
    ],
    ids=["empty", "cut", "long-proof", "old-beyond", "unsigned", "false", "unknown", "conflict", "proof-from-zero"],
)
def test_a_request_is_refused_with_the_status_of_the_specification(world, body, status):
    assert world.add(body).status == status


@pytest.mark.verifies("REQ-WIT-003")
@pytest.mark.parametrize(
    "body, status",
    [(FORKED.body(5, 5), 422), (FORKED.body(5, 9), 422), (LOG.body(5, 9, proof=()), 422), (LOG.body(0, 9), 409),
     (LOG.body(5, 5), 200), (LOG.body(5, 9), 200)],
    ids=["other-root", "other-history", "no-proof", "conflict", "again", "extended"],
)  # fmt: skip
def test_a_request_after_a_first_one_is_answered_with_the_status_of_the_specification(world, body, status):
    world.add(LOG.body(0, 5))
    assert world.add(body).status == status


@pytest.mark.verifies("REQ-WIT-003")
def test_a_conflict_is_the_size_alone_in_its_own_media_type(world):
    world.add(LOG.body(0, 5))
    found = world.add(LOG.body(3, 9))
    assert (found.status, found.media_type, found.body) == (409, "text/x.tlog.size", b"5\n")


@pytest.mark.verifies("REQ-WIT-003")
def test_a_log_that_was_never_cosigned_conflicts_with_size_zero(world):
    assert world.add(LOG.body(3, 9)).body == b"0\n"


@pytest.mark.verifies("REQ-WIT-003")
def test_a_refusal_is_a_line_of_plain_text(world):
    found = world.add(UNKNOWN.body(0, 5))
    assert (found.media_type, found.body.count(b"\n")) == ("text/plain; charset=utf-8", 1)


@pytest.mark.verifies("REQ-WIT-003")
def test_a_refusal_repeats_nothing_of_what_was_sent(world):
    assert b"log.example/unknown" not in world.add(UNKNOWN.body(0, 5)).body


@pytest.mark.verifies("REQ-WIT-003")
def test_a_monitor_gets_the_latest_checkpoint_with_all_signatures(world):
    lines = world.add(LOG.body(0, 5)).body
    found = world.ask("GET", CHECKPOINT)
    assert (found.status, found.body) == (200, LOG.signed(5).encode() + lines)


@pytest.mark.verifies("REQ-WIT-003")
@pytest.mark.parametrize("target", [CHECKPOINT, f"/{'0' * 64}/checkpoint", f"/{'A' * 64}/checkpoint", "/", "/witness"])
def test_what_there_is_not_is_answered_with_404(world, target):
    assert world.ask("GET", target).status == 404


@pytest.mark.verifies("REQ-WIT-003")
@pytest.mark.parametrize("target", ["/../witness", f"/{'0' * 64}.lock/checkpoint", "//etc/passwd", "/%2e%2e/witness"])
def test_no_path_leads_out_of_what_is_served(world, target):
    assert world.ask("GET", target).status == 404


@pytest.mark.verifies("REQ-WIT-003")
@pytest.mark.parametrize(
    "method, target, allowed",
    [
        ("GET", "/add-checkpoint", "POST"),
        ("POST", CHECKPOINT, "GET"),
        ("DELETE", CHECKPOINT, "GET"),
        ("PUT", "/health", "GET"),
    ],
)
def test_another_method_is_answered_with_the_one_that_is_allowed(world, method, target, allowed):
    found = world.ask(method, target)
    assert (found.status, found.headers) == (405, (("Allow", allowed),))


@pytest.mark.verifies("REQ-WIT-003")
def test_a_sound_witness_says_so(world):
    assert (world.ask("GET", "/health").status, world.ask("GET", "/health").body) == (200, b"ok\n")


@pytest.mark.verifies("REQ-WIT-003")
def test_a_witness_whose_disk_refused_says_so(world, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        assert world.add(LOG.body(0, 5)).status == 503
    assert world.ask("GET", "/health").status == 503


@pytest.mark.verifies("REQ-WIT-003")
def test_a_state_that_was_altered_is_answered_with_500(world):
    world.add(LOG.body(0, 5))
    (world.folder / f"{origin_hash(LOG.origin)}.checkpoint").write_bytes(b"altered")
    assert world.add(LOG.body(5, 9)).status == 500


@pytest.mark.verifies("REQ-WIT-003")
def test_a_state_that_cannot_be_reached_is_answered_with_503(world, monkeypatch):
    def fail(*arguments):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", fail)
    assert world.add(LOG.body(0, 5)).status == 503


@pytest.mark.verifies("REQ-WIT-003")
def test_each_checkpoint_that_its_log_signed_is_reported(world):
    world.add(LOG.body(0, 5))
    world.add(LOG.body(3, 9))
    world.add(FORKED.body(5, 7))
    assert world.told == [("log.example/a", 0, 5, 200), ("log.example/a", 3, 9, 409), ("log.example/a", 5, 7, 422)]


@pytest.mark.verifies("REQ-WIT-003")
def test_nothing_that_a_stranger_made_is_reported(world):
    world.add(UNKNOWN.body(0, 5))
    world.add(LOG.body(0, 5, signed=note.sign(LOG.text(5), [STRANGER])))
    assert world.told == []


@pytest.mark.verifies("REQ-WIT-003")
def test_an_address_beyond_its_rate_is_told_to_wait(tmp_path):
    world = World(tmp_path, peer_rate=1)
    found = [world.add(b"") for _ in range(3)]
    assert ([one.status for one in found], found[-1].headers) == ([400, 400, 429], (("Retry-After", "1"),))


@pytest.mark.verifies("REQ-WIT-003")
def test_another_address_has_a_rate_of_its_own(tmp_path):
    world = World(tmp_path, peer_rate=1)
    assert [world.add(b"", peer=peer).status for peer in ("a", "a", "a", "b")] == [400, 400, 429, 400]


@pytest.mark.verifies("REQ-WIT-003")
def test_a_rate_comes_back_with_time(tmp_path):
    world = World(tmp_path, peer_rate=1)
    before = [world.add(b"").status for _ in range(3)]
    world.monotonic_s += 1
    assert [*before, world.add(b"").status] == [400, 400, 429, 400]


@pytest.mark.verifies("REQ-WIT-003")
def test_health_has_no_rate(tmp_path):
    world = World(tmp_path, peer_rate=1)
    assert [world.ask("GET", "/health").status for _ in range(5)] == [200] * 5


@pytest.mark.verifies("REQ-WIT-003")
def test_a_log_beyond_its_rate_is_told_to_wait_whoever_sends(tmp_path):
    world = World(tmp_path, log_rate=1)
    found = [world.add(LOG.body(at, at + 1), peer=str(at)) for at in range(3)]
    assert ([one.status for one in found], found[-1].headers) == ([200, 200, 429], (("Retry-After", "1"),))


@pytest.mark.verifies("REQ-WIT-003")
def test_what_is_not_signed_by_a_log_uses_nothing_of_its_rate(tmp_path):
    world = World(tmp_path, log_rate=1)
    unsigned = LOG.body(0, 5, signed=note.sign(LOG.text(5), [STRANGER]))
    assert [world.add(unsigned).status for _ in range(5)] == [403] * 5
    assert world.add(LOG.body(0, 5)).status == 200


@pytest.mark.verifies("REQ-WIT-003")
def test_what_is_not_cosigned_uses_nothing_of_a_logs_rate(tmp_path):
    world = World(tmp_path, log_rate=1)
    assert [world.add(LOG.body(3, 5)).status for _ in range(5)] == [409] * 5
    assert world.add(LOG.body(0, 5)).status == 200


@pytest.mark.verifies("REQ-WIT-003")
def test_a_log_whose_checkpoints_are_repeated_is_not_reported_on_without_end(tmp_path):
    world = World(tmp_path, log_rate=1)
    for _ in range(5):
        world.add(LOG.body(3, 5))
    assert len(world.told) == 2


@pytest.mark.verifies("REQ-WIT-003")
def test_of_many_addresses_only_so_many_are_remembered():
    rates = Rates(1, lambda: 0.0, at_most=2)
    admitted = [rates.admits(name) for name in ("a", "a", "a", "b", "c", "a")]
    assert admitted == [True, True, False, True, True, True]


# -- the list of logs and the settings


def listed(tmp_path, text):
    path = tmp_path / "logs.toml"
    path.write_text(text, "utf-8")
    return logs.read(path)


def entry(origin, *keys):
    return f"[[log]]\norigin = {origin!r}\nkeys = [{', '.join(repr(str(key)) for key in keys)}]\n"


@pytest.mark.verifies("REQ-WIT-006")
def test_a_list_names_origins_and_their_keys(tmp_path):
    found = listed(tmp_path, entry("a", LOG.signer.verifier, STRANGER.verifier) + entry("b", UNKNOWN.signer.verifier))
    assert {origin: log.keys for origin, log in found.items()} == {
        "a": (LOG.signer.verifier, STRANGER.verifier),
        "b": (UNKNOWN.signer.verifier,),
    }


@pytest.mark.verifies("REQ-WIT-006")
def test_an_empty_list_knows_no_log(tmp_path):
    assert listed(tmp_path, "# none yet\n") == {}


@pytest.mark.verifies("REQ-WIT-006")
@pytest.mark.parametrize(
    "text",
    [
        "[[log]\n",
        "[[logs]]\norigin = 'a'\nkeys = []\n",
        "[[log]]\norigin = 'a'\n",
        entry("a"),
        entry("a", LOG.signer.verifier, LOG.signer.verifier),
        entry("a", LOG.signer.verifier) + entry("a", STRANGER.verifier),
        entry("", LOG.signer.verifier),
        "[[log]]\norigin = \"a\\nb\"\nkeys = ['" + str(LOG.signer.verifier) + "']\n",
        entry("a", ED.verifier),
        entry("a", "nonsense"),
        entry("a", LOG.signer.verifier) + "more = 1\n",
    ],
    ids=["not-toml", "other-table", "no-keys", "no-key", "key-twice", "origin-twice", "origin-empty",
         "origin-of-two-lines", "key-of-a-witness", "key-nonsense", "unknown-member"],
)  # fmt: skip
def test_a_list_that_cannot_be_obeyed_to_the_letter_is_refused(tmp_path, text):
    with pytest.raises(SettingInvalid):
        listed(tmp_path, text)


@pytest.mark.verifies("REQ-WIT-006")
def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingInvalid):
        logs.read(tmp_path / "logs.toml")


@pytest.mark.verifies("REQ-WIT-006")
def test_settings_come_from_the_environment():
    assert settings.read({"MEDAI_WITNESS_MAX_AT_WORK": "3", "MEDAI_HOME": "x"}).max_at_work == 3


@pytest.mark.verifies("REQ-WIT-006")
@pytest.mark.parametrize(
    "name, value", [("PORT", "70000"), ("MAX_AT_WORK", "0"), ("IDLE_MS", "soon"), ("MAX_ATWORK", "3")]
)
def test_a_setting_out_of_its_bounds_or_unknown_is_refused(name, value):
    with pytest.raises(SettingInvalid):
        settings.read({f"MEDAI_WITNESS_{name}": value})


@pytest.mark.verifies("REQ-WIT-006")
def test_home_and_host_are_no_limits():
    environment = {"MEDAI_WITNESS_HOME": "somewhere", "MEDAI_WITNESS_HOST": "192.0.2.1"}
    assert (settings.read(environment).port, settings.places(environment).host) == (7380, "192.0.2.1")
