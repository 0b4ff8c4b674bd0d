"""Requirement -> code -> test -> result, proved rather than claimed. `docs/traceability.md` is the manual.

Begin reading with `survey`, which makes the matrix of a project on disk, and `matrix`, which says what it is made of.
"""
