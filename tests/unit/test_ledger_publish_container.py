"""Anchors in a container: through Azure's own package, against a server that keeps policies or pretends to."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import DefaultAzureCredential

from audit import anchors_blob, checkpoint, note
from audit.anchors_blob import MAX_VERSIONS, BlobAnchor, connect
from audit.checkpoint import MAX_SIZE, Checkpoint
from audit.errors import Altered, KeyUnknown, LedgerForked, LedgerUnavailable, SettingInvalid
from tests.blob_fakes import MODE, UNTIL, serving

pytestmark = pytest.mark.verifies("REQ-PUB-004")

ORIGIN = "log.example/anchored"
LOG = note.Signer.generate(ORIGIN, bytes(range(32)))
OTHER = note.Signer.generate(ORIGIN, bytes(range(1, 33)))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
A_YEAR = {UNTIL: "Mon, 01 Mar 2027 00:00:00 GMT", MODE: "Locked"}


def signed(size, root=b"r" * 32, signer=LOG, origin=ORIGIN):
    return note.sign(checkpoint.format(Checkpoint(origin=origin, size=size, root=root)), [signer])


def anchor_of(storage, retention_days=0):
    container = connect(storage.url, timeout_ms=2_000)
    return BlobAnchor(container, (LOG.verifier,), origin=ORIGIN, retention_days=retention_days, now=lambda: NOW)


def put(anchor, text):
    anchor.put(text, system_identifier="1", timeline=1)


@pytest.fixture
def storage():
    with serving() as storage:
        yield storage


@pytest.fixture
def anchor(storage):
    return anchor_of(storage)


def test_what_was_put_is_the_newest(anchor):
    put(anchor, signed(5))
    newest = anchor.newest()
    assert newest is not None
    assert (newest.size, newest.checkpoint) == (5, signed(5))


def test_an_empty_container_has_no_anchor(anchor):
    assert anchor.newest() is None


def test_a_blob_is_created_only_where_there_is_none(storage, anchor):
    put(anchor, signed(5))
    assert [headers.get("If-None-Match") for headers in storage.sent("PUT")] == ["*"]


def test_the_blob_holds_the_checkpoint_as_it_was_signed(storage, anchor):
    put(anchor, signed(5))
    assert storage.bodies() == [signed(5).encode()]


def test_the_newest_is_the_largest_however_many_digits_it_has(anchor):
    for size in (9, 10, 100, 99):
        put(anchor, signed(size))
    newest = anchor.newest()
    assert newest is not None
    assert newest.size == 100


def test_the_largest_size_of_all_has_a_name(anchor):
    put(anchor, signed(MAX_SIZE))
    newest = anchor.newest()
    assert newest is not None
    assert newest.size == MAX_SIZE


def test_all_are_given_the_oldest_first_over_as_many_pages_as_there_are(storage, anchor):
    storage.page = 7
    for size in range(1, 31):
        put(anchor, signed(size))
    assert [one.size for one in anchor.all()] == list(range(1, 31))


def test_finding_the_newest_reads_one_blob(storage, anchor):
    for size in range(1, 6):
        put(anchor, signed(size))
    storage.requests.clear()
    anchor.newest()
    assert len(storage.sent("GET", "-5?")) == 1


def test_the_same_again_is_fine(storage, anchor):
    for _ in range(2):
        put(anchor, signed(5))
    assert storage.bodies() == [signed(5).encode()]


def test_another_root_for_the_size_is_a_fork(anchor):
    put(anchor, signed(5))
    with pytest.raises(LedgerForked, match=r"two signed roots for size 5"):
        put(anchor, signed(5, b"s" * 32))


def test_a_fork_is_told_with_both_checkpoints(anchor):
    put(anchor, signed(5))
    with pytest.raises(LedgerForked) as caught:
        put(anchor, signed(5, b"s" * 32))
    assert signed(5) in str(caught.value)
    assert signed(5, b"s" * 32) in str(caught.value)


def test_a_blob_in_the_way_that_the_log_did_not_sign_is_told(storage, anchor):
    put(anchor, signed(5))
    next(iter(storage.blobs.values()))[0].body = b"anything"
    with pytest.raises(Altered):
        put(anchor, signed(5))


def test_a_copied_checkpoint_under_the_name_of_another_size_is_no_proof_of_a_fork(storage, anchor):
    put(anchor, signed(5))
    next(iter(storage.blobs.values()))[0].body = signed(4).encode()
    with pytest.raises(Altered, match="holds the checkpoint of size 4"):
        put(anchor, signed(5))


def test_a_container_without_a_policy_is_refused_before_anything_is_stored(storage, anchor):
    storage.container_policy = False
    with pytest.raises(SettingInvalid, match="no immutability policy"):
        put(anchor, signed(5))
    assert storage.bodies() == []


def test_a_container_without_a_policy_is_not_read(storage, anchor):
    put(anchor, signed(5))
    storage.container_policy = False
    with pytest.raises(SettingInvalid, match="no immutability policy"):
        anchor.newest()


def test_a_policy_that_was_dropped_in_silence_is_noticed(storage):
    storage.for_versions, storage.drops_policies = True, True
    with pytest.raises(SettingInvalid, match="without the immutability policy"):
        put(anchor_of(storage, retention_days=30), signed(5))


def test_a_policy_that_was_dropped_is_noticed_although_the_container_has_one(storage):
    storage.drops_policies = True
    with pytest.raises(SettingInvalid, match="without the immutability policy"):
        put(anchor_of(storage, retention_days=30), signed(5))


def test_where_policies_are_for_versions_a_blob_without_one_is_noticed(storage, anchor):
    storage.for_versions, storage.container_policy = True, False
    with pytest.raises(SettingInvalid, match="without the immutability policy"):
        put(anchor, signed(5))


def test_a_blob_that_inherits_a_locked_policy_is_fine(storage, anchor):
    storage.for_versions, storage.default_policy = True, A_YEAR
    put(anchor, signed(5))
    assert storage.bodies() == [signed(5).encode()]


def test_a_blob_that_inherits_an_unlocked_policy_is_noticed(storage, anchor):
    storage.for_versions, storage.default_policy = True, {**A_YEAR, MODE: "Unlocked"}
    with pytest.raises(SettingInvalid, match="unlocked"):
        put(anchor, signed(5))


def test_a_policy_that_has_ended_is_noticed(storage, anchor):
    storage.for_versions, storage.default_policy = True, {**A_YEAR, UNTIL: "Sun, 01 Feb 2026 00:00:00 GMT"}
    with pytest.raises(SettingInvalid, match="ends too early"):
        put(anchor, signed(5))


def test_what_was_stored_long_ago_is_still_fine_while_its_policy_lasts(storage):
    storage.for_versions, storage.locks_at_once = True, True
    put(anchor_of(storage, retention_days=365), signed(5))
    later = BlobAnchor(
        connect(storage.url, timeout_ms=2_000), (LOG.verifier,), origin=ORIGIN, retention_days=365,
        now=lambda: NOW + timedelta(days=300),
    )  # fmt: skip
    put(later, signed(5))
    assert len(storage.bodies()) == 1


def test_a_policy_of_our_own_lasts_as_long_as_was_asked(storage):
    storage.for_versions = True
    put(anchor_of(storage, retention_days=365), signed(5))
    ((blob,),) = storage.blobs.values()
    assert blob.policy == A_YEAR


def test_a_policy_that_came_with_the_blob_is_locked_where_it_was_stored_unlocked(storage):
    storage.for_versions = True
    put(anchor_of(storage, retention_days=365), signed(5))
    assert len(storage.sent("PUT", "comp=immutabilityPolicies")) == 1


def test_a_policy_that_was_locked_at_once_is_not_locked_again(storage):
    storage.for_versions, storage.locks_at_once = True, True
    put(anchor_of(storage, retention_days=365), signed(5))
    assert storage.sent("PUT", "comp=immutabilityPolicies") == []


def test_of_a_blob_that_was_overwritten_the_first_version_is_the_anchor(storage, anchor):
    storage.for_versions, storage.default_policy = True, A_YEAR
    put(anchor, signed(5))
    storage.store(*storage.blobs, b"anything", {})
    newest = anchor.newest()
    assert newest is not None
    assert newest.checkpoint == signed(5)


def test_two_versions_with_two_signed_roots_are_a_fork(storage, anchor):
    storage.for_versions, storage.default_policy = True, A_YEAR
    put(anchor, signed(5))
    storage.store(*storage.blobs, signed(5, b"s" * 32).encode(), {})
    with pytest.raises(LedgerForked):
        anchor.newest()


def test_a_blob_that_was_overwritten_without_end_is_not_read_without_end(storage, anchor):
    storage.for_versions, storage.default_policy = True, A_YEAR
    put(anchor, signed(5))
    for _ in range(MAX_VERSIONS):
        storage.store(*storage.blobs, b"anything", {})
    with pytest.raises(LedgerUnavailable, match="too often"):
        anchor.newest()


def test_what_the_log_did_not_sign_is_no_anchor(storage, anchor):
    put(anchor, signed(4))
    put(anchor, signed(5))
    next(iter(storage.blobs.values()))[0].body = b"anything"
    assert anchor.newest() == anchor_of(storage).newest()


def test_a_checkpoint_under_the_name_of_another_size_is_no_anchor(storage, anchor):
    put(anchor, signed(5))
    next(iter(storage.blobs.values()))[0].body = signed(4).encode()
    assert anchor.newest() is None


def test_what_has_a_name_of_another_kind_is_no_anchor(storage, anchor):
    put(anchor, signed(5))
    (name,) = storage.blobs
    storage.store(name + "0", signed(50).encode(), {})
    newest = anchor.newest()
    assert newest is not None
    assert newest.size == 5


def test_the_newest_by_a_key_that_the_records_do_not_know_is_told(storage, anchor):
    put(anchor, signed(5))
    theirs = BlobAnchor(
        connect(storage.url, timeout_ms=2_000), (OTHER.verifier,), origin=ORIGIN, retention_days=0, now=lambda: NOW
    )
    put(theirs, signed(6, signer=OTHER))
    with pytest.raises(KeyUnknown):
        anchor.newest()


def test_an_anchor_by_a_key_that_is_trusted_since_is_one(storage, anchor):
    anchor.trust((LOG.verifier, OTHER.verifier))
    put(anchor, signed(6, signer=OTHER))
    newest = anchor.newest()
    assert newest is not None
    assert newest.size == 6


def test_the_anchors_of_another_log_in_the_same_container_are_not_ours(storage, anchor):
    elsewhere = "log.example/elsewhere"
    theirs = note.Signer.generate(elsewhere, bytes(32))
    other = BlobAnchor(
        connect(storage.url, timeout_ms=2_000), (theirs.verifier,), origin=elsewhere, retention_days=0, now=lambda: NOW
    )
    put(other, signed(9, signer=theirs, origin=elsewhere))
    assert anchor.newest() is None


def test_a_container_full_of_strangers_is_not_taken_for_an_empty_one(storage, anchor, monkeypatch):
    monkeypatch.setattr(anchors_blob, "MAX_STRANGERS", 5)
    put(anchor, signed(5))
    (name,) = storage.blobs
    folder = name.partition("/")[0]
    for size in range(10, 16):
        storage.store(f"{folder}/{MAX_SIZE - size:019d}-{size}", b"anything", {})
    with pytest.raises(LedgerUnavailable, match="no anchors"):
        anchor.newest()


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_container_that_refuses_cannot_be_read(storage, anchor, status):
    storage.status = status
    with pytest.raises(LedgerUnavailable, match=str(status)):
        anchor.newest()


def test_a_server_that_is_not_there_is_no_empty_container(tmp_path):
    with serving() as gone:
        anchor = anchor_of(gone)
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        anchor.newest()


def test_an_answer_that_is_cut_is_no_anchor_and_no_empty_container(storage, anchor):
    put(anchor, signed(5))
    storage.cuts_after = 20
    with pytest.raises(LedgerUnavailable):
        anchor.newest()


def test_a_server_that_never_answers_is_given_up(storage):
    container = connect(storage.url, timeout_ms=200)
    anchor = BlobAnchor(container, (LOG.verifier,), origin=ORIGIN, retention_days=0, now=lambda: NOW)
    storage.silent.set()
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        anchor.newest()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "anchors",
        "https://account.blob.core.windows.net",
        "http://account.blob.core.windows.net/anchors",
        "ftp://a/b",
    ],
)
def test_what_is_no_container_s_address_is_a_setting_that_cannot_be_obeyed(url):
    with pytest.raises(SettingInvalid, match="MEDAI_ANCHOR_BLOB_URL"):
        connect(url, timeout_ms=1_000)


def test_no_error_repeats_the_secret_of_the_address(storage):
    storage.status = 403
    with pytest.raises(LedgerUnavailable) as caught:
        anchor_of(storage).newest()
    assert "sig" not in str(caught.value)


def test_a_policy_may_end_a_little_early_by_the_other_s_clock(storage):
    storage.for_versions, storage.locks_at_once = True, True
    clock = iter([NOW, NOW + timedelta(minutes=2)])
    container = connect(storage.url, timeout_ms=2_000)
    anchor = BlobAnchor(container, (LOG.verifier,), origin=ORIGIN, retention_days=1, now=lambda: next(clock))
    put(anchor, signed(5))
    assert storage.bodies() == [signed(5).encode()]


def test_without_a_token_in_its_address_the_container_is_opened_as_the_machine_s_own_identity():
    container = connect("https://account.blob.core.windows.net/anchors", timeout_ms=1_000)
    assert isinstance(container.credential, DefaultAzureCredential)


def test_a_token_in_the_container_s_address_is_used_as_it_is(storage, anchor):
    anchor.newest()
    assert all("sig=none" in path for _, path, _ in storage.requests)
