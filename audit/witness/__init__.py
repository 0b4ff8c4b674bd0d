"""A C2SP witness (tlog-witness): it cosigns a log's checkpoints, and only ever along one history.

A hospital, an auditor or a regulator runs it on a machine that the log's operator cannot reach. It needs no
database and no web framework. Begin reading at `witness.Witness.add_checkpoint`, the whole protocol in one
function; `judgement` says what is true of a submission, `folder` keeps what was cosigned; `server` is HTTP with
limits; `cli` is `medai audit witness`.
"""
