"""The ledger: a hash-chained, Merkle-proved record of every decision.

Begin with `record` (what is written), `canonical` (its bytes), `merkle` and `chain` (its hashes), then
`ledger` (how a record becomes durable and proved) and `postgres` (the only writer). `verifier` is one
file that shares no code with any of them, so that an auditor does not have to trust this package.
"""
