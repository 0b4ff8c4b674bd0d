"""What every store does with an append: PostgreSQL, and the one in memory that stands in for it."""

import pytest

from audit import chain, merkle, record
from audit.errors import (
    CallerBehind,
    DatabaseChanged,
    LedgerExists,
    LedgerForked,
    LedgerNotInitialised,
    RecordRefused,
)

pytestmark = pytest.mark.anyio


@pytest.mark.verifies("REQ-LED-017")
async def test_the_first_record_has_index_zero_and_starts_the_chain_from_its_origin(ledger, entries):
    ids, bodies = entries.sent(entries.genesis())
    answer = await ledger.store.append(0, ids, bodies)
    leaf = merkle.leaf_hash(bodies[0])
    assert (answer.first, answer.before, answer.after) == (0, (), (leaf,))
    assert answer.chain == chain.extend(chain.start(entries.ORIGIN), [leaf])


async def test_an_origin_beyond_ascii_is_hashed_as_utf8(ledger, entries):
    ids, bodies = entries.sent(entries.genesis(origin="krankenhaus-süd.example/日本"))
    answer = await ledger.store.append(0, ids, bodies)
    start = chain.start("krankenhaus-süd.example/日本")
    assert answer.chain == chain.extend(start, [merkle.leaf_hash(bodies[0])])


async def test_a_ledger_begins_with_a_genesis_and_nothing_else(ledger, entries):
    with pytest.raises(LedgerNotInitialised):
        await ledger.store.append(0, *entries.batch(1))
    assert (await ledger.reader.head()).size == 0


async def test_the_genesis_is_alone_in_its_batch(ledger, entries):
    with pytest.raises(LedgerNotInitialised):
        await ledger.store.append(0, *entries.sent(entries.genesis(), entries.request()))


async def test_a_second_genesis_is_refused(begun, entries):
    with pytest.raises(LedgerExists):
        await begun.store.append(1, *entries.sent(entries.genesis()))


async def test_a_genesis_among_other_records_is_that_batch_s_fault(begun, entries):
    with pytest.raises(RecordRefused):
        await begun.store.append(1, *entries.sent(entries.request(), entries.genesis()))


@pytest.mark.verifies("REQ-LED-017")
async def test_an_answer_holds_the_frontiers_and_the_chain_that_the_records_give(begun, entries):
    head = await begun.reader.head()
    for count in (1, 2, 3, 250, 7):
        ids, bodies = entries.batch(count)
        answer = await begun.store.append(head.size, ids, bodies)
        leaves = tuple(merkle.leaf_hash(body) for body in bodies)
        assert answer.first == head.size
        assert answer.leaves == leaves
        assert answer.before == head.frontier
        assert answer.after == merkle.extend(head.size, head.frontier, leaves)
        assert answer.chain == chain.extend(head.chain, leaves)
        head = await begun.reader.head()
        assert (head.size, head.frontier, head.chain) == (answer.first + count, answer.after, answer.chain)


@pytest.mark.verifies("REQ-LED-017")
async def test_what_others_wrote_since_is_given_back(begun, entries):
    others = entries.batch(5)
    await begun.store.append(1, *others)
    answer = await begun.store.append(1, *entries.batch(2))
    assert answer.first == 6
    assert answer.between == tuple(merkle.leaf_hash(body) for body in others[1])


async def test_on_the_timeline_that_the_caller_names_a_batch_is_written(begun, entries):
    timeline = (await begun.store.ready()).timeline
    assert (await begun.store.append(1, *entries.batch(2), timeline=timeline)).first == 1


async def test_on_another_timeline_than_the_caller_names_nothing_is_written(begun, entries):
    timeline = (await begun.store.ready()).timeline
    with pytest.raises(DatabaseChanged):
        await begun.store.append(1, *entries.batch(2), timeline=timeline + 1)
    assert (await begun.reader.head()).size == 1


async def test_a_caller_that_is_up_to_date_is_given_nothing_back(begun, entries):
    assert (await begun.store.append(1, *entries.batch(1))).between == ()


async def test_a_ledger_shorter_than_the_caller_knows_is_a_fork(begun, entries):
    with pytest.raises(LedgerForked):
        await begun.store.append(2, *entries.batch(1))
    assert (await begun.reader.head()).size == 1


@pytest.mark.verifies("REQ-LED-017")
async def test_the_same_batch_again_gets_the_same_answer_and_writes_nothing(begun, entries):
    batch = entries.batch(3)
    first = await begun.store.append(1, *batch)
    await begun.store.append(4, *entries.batch(2))
    assert await begun.store.append(1, *batch) == first
    assert (await begun.reader.head()).size == 6


async def test_the_genesis_again_gets_the_same_answer(ledger, entries):
    genesis = entries.sent(entries.genesis())
    assert await ledger.store.append(0, *genesis) == await ledger.store.append(0, *genesis)


async def test_a_retry_by_a_caller_that_knows_more_gets_the_original_s_place_and_nothing_between(begun, entries):
    batch = entries.batch(3)
    first = await begun.store.append(1, *batch)
    again = await begun.store.append(4, *batch)
    assert (again.first, again.between, again.leaves) == (first.first, (), first.leaves)
    assert (again.before, again.after, again.chain) == (first.before, first.after, first.chain)


@pytest.mark.verifies("REQ-LED-017")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda ids, bodies: (ids[::-1], bodies[::-1]), id="another_order"),
        pytest.param(lambda ids, bodies: (ids[:2], bodies[:2]), id="its_beginning"),
        pytest.param(lambda ids, bodies: (ids[1:], bodies[1:]), id="its_end"),
        pytest.param(lambda ids, bodies: (ids, [*bodies[:2], bodies[2].replace(b"200", b"404")]), id="other_bytes"),
    ],
)
async def test_a_known_batch_that_comes_back_changed_is_refused(begun, entries, change):
    batch = entries.batch(3)
    await begun.store.append(1, *batch)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, *change(*batch))
    assert (await begun.reader.head()).size == 4


async def test_a_known_batch_with_a_new_record_besides_is_refused(begun, entries):
    ids, bodies = entries.batch(2)
    await begun.store.append(1, ids, bodies)
    more_ids, more_bodies = entries.batch(1)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids + more_ids, bodies + more_bodies)


async def test_two_whole_batches_in_one_are_refused(begun, entries):
    first, second = entries.batch(2), entries.batch(2)
    await begun.store.append(1, *first)
    await begun.store.append(3, *second)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, first[0] + second[0], first[1] + second[1])


async def test_the_same_id_twice_in_a_batch_is_refused(begun, entries):
    ids, bodies = entries.batch(1)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids * 2, bodies * 2)


@pytest.mark.verifies("REQ-LED-017")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda body: b"", id="nothing"),
        pytest.param(lambda body: b"{", id="not_json"),
        pytest.param(lambda body: b"\xff" + body, id="not_utf8"),
        pytest.param(lambda body: b"[" * 10_000, id="nested_without_end"),
        pytest.param(lambda body: b"[]", id="not_an_object"),
        pytest.param(lambda body: body.replace(b'"recorded_at_us":2', b'"recorded_at_us":"x"'), id="not_a_number"),
        pytest.param(lambda body: body.replace(b'"recorded_at_us":2', b'"recorded_at_us":9e99'), id="beyond_64_bits"),
        pytest.param(lambda body: body.replace(b"record/1", b"record/2"), id="another_format"),
        pytest.param(lambda body: body.replace(b'"/health"', b'"\\u0000"'), id="a_null_character"),
        pytest.param(lambda body: body.replace(b'"/health"', b'"%s"' % (b"x" * 16_384)), id="too_long"),
    ],
)
async def test_bytes_that_are_no_record_are_refused_with_their_whole_batch(begun, entries, body):
    ids, bodies = entries.batch(3)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids, [bodies[0], body(bodies[1]), bodies[2]])
    assert (await begun.reader.head()).size == 1


async def test_a_record_under_another_id_than_its_own_is_refused(begun, entries):
    ids, bodies = entries.batch(2)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids[::-1], bodies)


async def test_a_refused_batch_leaves_its_good_records_free_to_be_appended(begun, entries):
    ids, bodies = entries.batch(2)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids, [bodies[0], b"{}"])
    assert (await begun.store.append(1, ids[:1], bodies[:1])).first == 1


@pytest.mark.parametrize("count", [0, 1_025])
async def test_a_batch_of_no_records_or_of_too_many_is_refused(begun, entries, count):
    with pytest.raises(RecordRefused):
        await begun.store.append(1, *entries.batch(count))


async def test_more_ids_than_records_are_refused(begun, entries):
    ids, bodies = entries.batch(2)
    with pytest.raises(RecordRefused):
        await begun.store.append(1, ids, bodies[:1])


async def test_the_largest_record_of_all_is_taken(begun, entries):
    largest = entries.request(route="r" * 96, status=599, code="c" * 64, method="M" * 16, actor="a" * 64)
    ids, bodies = entries.sent(largest)
    await begun.store.append(1, ids, bodies)
    assert (await begun.reader.record(1)).body == bodies[0]


async def test_a_caller_too_far_behind_is_told_so(begun, entries):
    size = 1
    while size <= 65_537:
        entry = entries.request()
        bodies = [
            record.encode(entry).replace(entry.event_id.encode(), b"%08x-0000-4000-8000-000000000000" % (size + nth))
            for nth in range(1_024)
        ]
        ids = [record.event_uuid(record.decode(body)) for body in bodies]
        size = (await begun.store.append(size, ids, bodies)).first + 1_024
    with pytest.raises(CallerBehind):
        await begun.store.append(1, *entries.batch(1))
    assert len((await begun.store.append(size - 65_536, *entries.batch(1))).between) == 65_536


async def test_a_caller_that_does_not_know_of_a_rotation_is_told_so_and_nothing_is_written(begun, entries):
    await begun.store.append(1, *entries.sent(entries.request(), entries.rotation(), entries.request()))
    with pytest.raises(CallerBehind):
        await begun.store.append(1, *entries.batch(1))
    assert (await begun.reader.head()).size == 4


async def test_a_caller_that_knows_of_the_rotation_appends_as_ever(begun, entries):
    await begun.store.append(1, *entries.sent(entries.request(), entries.rotation(), entries.request()))
    assert (await begun.store.append(3, *entries.batch(1))).first == 4


async def test_a_batch_that_was_written_before_a_rotation_is_answered_when_it_comes_again(begun, entries):
    batch = entries.batch(2)
    original = await begun.store.append(1, *batch)
    await begun.store.append(3, *entries.sent(entries.rotation()))
    assert await begun.store.append(1, *batch) == original


async def test_whoever_appends_a_rotation_is_not_told_of_it(begun, entries):
    assert (await begun.store.append(1, *entries.sent(entries.rotation()))).first == 1
