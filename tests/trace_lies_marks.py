"""Marks that say something else than they seem to."""

from tests.trace_case import CODE, Case

CASES = (
    Case(
        name="renamed_id",
        finding="unknown_id",
        code=CODE.replace('"REQ"', '"REQ", "REQ-OLD-NAME-1"'),
    ),
    Case(
        name="retired_id",
        finding="retired_id",
        code=CODE.replace('"REQ"', '"REQ", "REQ-RETIRED-1"'),
    ),
    Case(
        name="marked_twice",
        finding="duplicate",
        code=CODE.replace('@implements("REQ")', '@implements("REQ")\n    @implements("REQ")'),
    ),
    Case(
        name="docstring_only",
        finding="hollow",
        code="""
            from thermo.marks import implements

            @implements("REQ")
            def celsius(fahrenheit):
                "Degrees Celsius, exactly as the standard asks for."
            """,
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) is None
            """,
    ),
    Case(
        name="mark_in_a_variable",
        finding="mark_unreadable",
        code="""
            from thermo.marks import implements

            NAMES = ["REQ"]

            @implements(*NAMES)
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
    ),
    Case(
        name="mark_that_decorates_nothing",
        finding="mark_unreadable",
        code="""
            from thermo.marks import implements

            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9

            implements("REQ")(celsius)
            """,
        honest_code="""
            from thermo import marks

            @marks.implements("REQ")
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
    ),
    Case(
        name="comment_that_is_no_mark",
        finding="mark_unreadable",
        code="""
            # implementing REQ-COMMENT-THAT-IS-NO-MARK-1
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
        honest_code="""
            # implements: REQ
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
    ),
    Case(
        name="nothing_implements_it",
        finding="without_code",
        code=CODE.replace('@implements("REQ")', ""),
    ),
)
