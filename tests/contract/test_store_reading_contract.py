"""What every reader gives back of what was appended."""

import pytest

from audit import merkle, packed, record
from audit.derived import columns_of
from audit.errors import NotFound, RecordRefused
from audit.ports import Head

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(begun, entries):
    """600 records after record 0, in batches of 100."""
    for first in range(1, 601, 100):
        await begun.store.append(first, *entries.batch(100))
    return begun


@pytest.mark.verifies("REQ-LED-028")
async def test_an_empty_ledger_has_an_empty_head(ledger):
    assert await ledger.reader.head() == Head(size=0, frontier=(), chain=b"")


@pytest.mark.verifies("REQ-LED-028")
async def test_a_record_is_given_back_with_the_bytes_that_were_sent(begun, entries):
    ids, bodies = entries.batch(1)
    await begun.store.append(1, ids, bodies)
    stored = await begun.reader.record(1)
    assert (stored.index, stored.event_id, stored.body) == (1, ids[0], bodies[0])
    assert stored.leaf_hash == merkle.leaf_hash(bodies[0])


@pytest.mark.verifies("REQ-LED-028")
@pytest.mark.parametrize("index", [1, 2**63 - 1, 2**63, 10**30])
async def test_a_record_that_is_not_there_is_not_found(begun, index):
    with pytest.raises(NotFound):
        await begun.reader.record(index)


@pytest.mark.verifies("REQ-LED-028")
async def test_the_state_is_known_where_a_batch_ended_and_nowhere_else(filled):
    leaves = await filled.reader.leaf_hashes(0, 201)
    at = await filled.reader.head_at(201)
    assert at is not None
    assert at.frontier == merkle.extend(0, (), leaves)
    assert await filled.reader.head_at(202) is None


@pytest.mark.verifies("REQ-LED-028")
async def test_leaf_hashes_come_in_order_and_end_with_the_ledger(filled):
    leaves = await filled.reader.leaf_hashes(0, 10_000)
    assert merkle.extend(0, (), leaves) == (await filled.reader.head()).frontier
    assert await filled.reader.leaf_hashes(3, 5) == leaves[3:5]
    assert await filled.reader.leaf_hashes(601, 700) == []


@pytest.mark.verifies("REQ-LED-028")
async def test_each_whole_tile_s_hash_is_stored_and_no_other(filled):
    leaves = await filled.reader.leaf_hashes(0, 601)
    wanted = [(8, 0), (8, 1), (8, 2), (16, 0)]
    assert await filled.reader.nodes(wanted) == {
        (8, 0): merkle.root(leaves[:256]),
        (8, 1): merkle.root(leaves[256:512]),
    }


@pytest.mark.verifies("REQ-LED-028")
async def test_stretches_of_hashes_are_given_back_end_to_end(filled):
    leaves = await filled.reader.leaf_hashes(0, 601)
    nodes = await filled.reader.nodes([(8, 0), (8, 1)])
    found = await filled.reader.hashes([(0, 256, 512), (8, 0, 2), (0, 600, 601)])
    assert found == [b"".join(leaves[256:512]), nodes[8, 0] + nodes[8, 1], leaves[600]]


@pytest.mark.verifies("REQ-LED-028")
async def test_a_stretch_ends_where_the_stored_hashes_do(filled):
    leaves = await filled.reader.leaf_hashes(0, 601)
    nodes = await filled.reader.nodes([(8, 1)])
    found = await filled.reader.hashes([(0, 512, 768), (8, 1, 256), (16, 0, 1), (0, 700, 701)])
    assert found == [b"".join(leaves[512:]), nodes[8, 1], b"", b""]


@pytest.mark.verifies("REQ-LED-028")
async def test_no_stretch_has_no_hashes(filled):
    assert await filled.reader.hashes([]) == []


@pytest.mark.verifies("REQ-LED-028")
async def test_a_tile_counts_as_completed_by_its_last_record(filled):
    assert set(await filled.reader.completed(0, 511)) == {(8, 0)}
    assert set(await filled.reader.completed(256, 601)) == {(8, 1)}
    assert set(await filled.reader.completed(0, 512)) == {(8, 0), (8, 1)}


@pytest.mark.verifies("REQ-LED-028")
async def test_records_are_streamed_in_order_from_any_to_any(filled):
    assert [stored.index async for stored in filled.reader.records(7, 500)] == list(range(7, 500))


@pytest.mark.verifies("REQ-LED-028")
async def test_a_stream_ends_where_the_ledger_does(filled):
    assert [stored.index async for stored in filled.reader.records(599, 5_000)] == [599, 600]


@pytest.mark.verifies("REQ-LED-028")
async def test_a_stream_may_be_left_before_its_end(filled):
    stream = filled.reader.records(0, 601)
    assert (await anext(stream)).index == 0
    await stream.aclose()
    assert (await filled.reader.record(0)).index == 0


@pytest.mark.verifies("REQ-LED-028")
async def test_rows_come_in_lists_of_the_size_asked_for(filled):
    lists = [rows async for rows in filled.reader.rows(0, 601, 256)]
    assert [[row[0] for row in rows] for rows in lists] == [
        list(range(256)),
        list(range(256, 512)),
        list(range(512, 601)),
    ]


@pytest.mark.verifies("REQ-LED-028")
async def test_rows_hold_the_record_and_the_columns_derived_from_it(begun, entries):
    made = [
        entries.request(code="not_found", status=404, actor="clinic-1", release="ab" * 32),
        entries.window(),
        entries.window(phase="closed", opens_index=2, count=3),
    ]
    ids, bodies = entries.sent(*made)
    await begun.store.append(1, ids, bodies)
    (rows,) = [rows async for rows in begun.reader.rows(1, 4, 100)]
    assert rows == [
        (index, str(ids[index - 1]), bodies[index - 1], merkle.leaf_hash(bodies[index - 1]), *columns_of(entry))
        for index, entry in enumerate(made, 1)
    ]


@pytest.mark.verifies("REQ-LED-028")
async def test_batches_are_those_that_end_in_the_range(filled):
    found = await filled.reader.batches(1, 301)
    assert [(batch.first, batch.size) for batch in found] == [(1, 101), (101, 201), (201, 301)]


@pytest.mark.verifies("REQ-LED-028")
async def test_a_batch_knows_the_state_after_it(filled):
    head = await filled.reader.head()
    (last,) = await filled.reader.batches(501, 601)
    assert (last.frontier, last.chain) == (head.frontier, head.chain)


@pytest.mark.verifies("REQ-LED-028")
async def test_the_batch_before_a_size_ends_there_or_earlier(filled):
    assert (await filled.reader.batch_before(201)).size == 201
    assert (await filled.reader.batch_before(300)).size == 201


@pytest.mark.verifies("REQ-LED-028")
async def test_no_batch_ends_before_the_first(ledger):
    with pytest.raises(NotFound):
        await ledger.reader.batch_before(0)


def _places(found):
    return [one.index for one in found.windows]


@pytest.mark.verifies("REQ-LED-028")
async def test_a_window_is_unclosed_until_a_record_names_it(begun, entries):
    await begun.store.append(1, *entries.sent(entries.window(), entries.window()))
    assert _places(await begun.reader.unclosed_windows(0, 3)) == [1, 2]
    await begun.store.append(3, *entries.sent(entries.window(phase="closed", opens_index=1)))
    assert _places(await begun.reader.unclosed_windows(0, 4)) == [2]


@pytest.mark.verifies("REQ-LED-028")
async def test_an_unclosed_window_is_given_back_as_it_is_stored(begun, entries):
    await begun.store.append(1, *entries.sent(entries.window()))
    assert (await begun.reader.unclosed_windows(0, 2)).windows == (await begun.reader.record(1),)


@pytest.mark.verifies("REQ-LED-028")
async def test_windows_outside_the_asked_range_are_not_looked_at(begun, entries):
    await begun.store.append(1, *entries.sent(entries.window(), entries.window(), entries.window()))
    found = await begun.reader.unclosed_windows(2, 3)
    assert (_places(found), found.upto) == ([2], 3)


@pytest.mark.verifies("REQ-LED-028")
async def test_a_range_without_an_unclosed_window_is_looked_through_to_its_end(begun, entries):
    await begun.store.append(1, *entries.sent(entries.window(), entries.window(phase="closed", opens_index=1)))
    found = await begun.reader.unclosed_windows(0, 3)
    assert (_places(found), found.upto) == ([], 3)


@pytest.mark.verifies("REQ-LED-028")
async def test_nothing_counts_as_looked_at_that_the_ledger_does_not_have_yet(begun, entries):
    await begun.store.append(1, *entries.sent(entries.window()))
    found = await begun.reader.unclosed_windows(0, 1_000)
    assert (_places(found), found.upto) == ([1], 2)


@pytest.mark.verifies("REQ-LED-028")
async def test_ten_thousand_windows_are_looked_at_and_then_it_is_asked_again(begun, entries):
    for first in range(1, 10_002, 1_000):
        await begun.store.append(first, *entries.sent(*(entries.window() for _ in range(1_000))))
    found = await begun.reader.unclosed_windows(0, 11_001)
    assert (_places(found), found.upto) == (list(range(1, 10_001)), 10_001)
    rest = await begun.reader.unclosed_windows(found.upto, 11_001)
    assert (_places(rest), rest.upto) == (list(range(10_001, 11_001)), 11_001)


@pytest.mark.verifies("REQ-LED-028")
async def test_an_outcome_does_not_close_a_window(begun, entries):
    outcome = record.Outcome(
        format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=4, of_index=1,
        request_id=record.new_event_id(), outcome="client_gone", bytes_sent=0,
    )  # fmt: skip
    await begun.store.append(1, *entries.sent(entries.window(), outcome))
    assert _places(await begun.reader.unclosed_windows(0, 3)) == [1]


@pytest.mark.verifies("REQ-LED-028")
async def test_no_checkpoint_is_there_before_one_is_published(begun):
    assert await begun.reader.checkpoint() is None


@pytest.mark.verifies("REQ-LED-028")
async def test_the_checkpoint_of_the_largest_size_is_given_back(filled):
    await filled.store.publish(601, b"later")
    await filled.store.publish(101, b"earlier")
    assert await filled.reader.checkpoint() == (601, b"later")


@pytest.mark.verifies("REQ-LED-028")
async def test_a_size_is_covered_by_the_next_checkpoint_that_is_published(filled):
    for size in (601, 101, 301):
        await filled.store.publish(size, b"%d" % size)
    covering = [await filled.reader.covering(size) for size in (0, 101, 102, 601, 602)]
    assert covering == [(101, b"101"), (101, b"101"), (301, b"301"), (601, b"601"), None]


@pytest.mark.verifies("REQ-LED-028")
async def test_publishing_the_same_again_changes_nothing(begun):
    await begun.store.publish(1, b"one")
    await begun.store.publish(1, b"one")
    assert await begun.reader.checkpoint() == (1, b"one")


@pytest.mark.verifies("REQ-LED-028")
async def test_published_checkpoints_are_given_back_by_size(filled):
    for size in (601, 1):
        await filled.store.publish(size, b"%d" % size)
    assert await filled.reader.checkpoints(0, 601) == [(1, b"1"), (601, b"601")]
    assert await filled.reader.checkpoints(1, 600) == []


async def test_another_checkpoint_of_a_published_size_is_refused(begun):
    await begun.store.publish(1, b"one")
    with pytest.raises(RecordRefused):
        await begun.store.publish(1, b"two")


async def test_a_checkpoint_of_a_size_where_no_batch_ended_is_refused(filled):
    with pytest.raises(RecordRefused):
        await filled.store.publish(602, b"beyond")
    with pytest.raises(RecordRefused):
        await filled.store.publish(150, b"within")


async def test_a_store_that_is_ready_says_so_and_how_large_it_is(filled):
    readiness = await filled.store.ready()
    assert (readiness.in_recovery, readiness.durable, readiness.size) == (False, True, 601)
    assert readiness.timeline == 1
    assert readiness.system_identifier


@pytest.mark.verifies("REQ-LED-028")
async def test_rows_hold_only_the_search_columns_asked_for(begun, entries):
    await begun.store.append(1, *entries.sent(entries.request(status=404)))
    (rows,) = [rows async for rows in begun.reader.rows(1, 2, 100, ("status", "kind"))]
    assert rows[0][4:] == (404, "request")


@pytest.mark.verifies("REQ-LED-028")
@pytest.mark.parametrize("columns", [packed.LINE_COLUMNS, ()], ids=["with search columns", "hashes alone"])
async def test_every_tile_is_given_and_found_right(filled, columns):
    tiles = [tile async for page in filled.reader.tiles(0, 601, columns) for tile in page]
    leaves = []
    for tile, end in zip(tiles, (256, 512, 601), strict=True):
        judged = packed.judge(tile, tile.first, end, schema=bool(columns))
        assert judged is not None
        leaves += judged.leaves
    assert leaves == await filled.reader.leaf_hashes(0, 601)


@pytest.mark.verifies("REQ-LED-028")
async def test_what_is_not_there_is_missing_from_its_tile(filled):
    tiles = [tile async for page in filled.reader.tiles(256, 1024, ()) for tile in page]
    assert [(tile.first, len(tile.indices) // 8) for tile in tiles] == [(256, 256), (512, 89), (768, 0)]


@pytest.mark.verifies("REQ-LED-028")
async def test_rotations_of_the_key_are_found_among_the_other_records(begun, entries):
    rotations = [entries.rotation(), entries.rotation()]
    await begun.store.append(1, *entries.sent(entries.request(), rotations[0], entries.request(), rotations[1]))
    assert [one.index for one in await begun.reader.rotations(0, 9)] == [2, 4]


@pytest.mark.verifies("REQ-LED-028")
async def test_a_rotation_is_given_back_as_it_is_stored(begun, entries):
    rotation = entries.rotation()
    await begun.store.append(1, *entries.sent(rotation))
    assert [one.body for one in await begun.reader.rotations(0, 9)] == [record.encode(rotation)]


@pytest.mark.verifies("REQ-LED-028")
async def test_rotations_outside_the_asked_range_are_not_looked_at(begun, entries):
    await begun.store.append(1, *entries.sent(entries.rotation(), entries.rotation(), entries.rotation()))
    assert [one.index for one in await begun.reader.rotations(2, 3)] == [2]


@pytest.mark.verifies("REQ-LED-028")
async def test_no_more_than_256_rotations_come_at_once(begun, entries):
    await begun.store.append(1, *entries.sent(*(entries.rotation() for _ in range(300))))
    found = await begun.reader.rotations(0, 1000)
    assert [one.index for one in found] == list(range(1, 257))
