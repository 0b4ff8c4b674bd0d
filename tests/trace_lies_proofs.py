"""Code that runs and is not proved: branches, assertions, and words."""

from tests.trace_case import TEST, Case

CASES = (
    Case(
        name="dead_branch",
        finding="below_level",
        safety_class="B",
        honest_test=TEST
        + """
    @pytest.mark.verifies("REQ")
    def test_nothing_is_colder_than_cold():
        with pytest.raises(ValueError):
            MODULE.celsius(-500)
    """,
    ),
    Case(
        name="dead_method",
        finding="below_level",
        safety_class="B",
        code="""
            from thermo.marks import implements

            @implements("REQ")
            class Scale:
                def read(self):
                    return 7

                def write(self):
                    return 8
            """,
        test="""
            import pytest
            from thermo.MODULE import Scale

            @pytest.mark.verifies("REQ")
            def test_a_scale_reads():
                assert Scale().read() == 7
            """,
        honest_code="""
            from thermo.marks import implements

            @implements("REQ")
            class Scale:
                def read(self):
                    return 7

                def write(self):
                    return 8
            """,
        honest_test="""
            import pytest
            from thermo.MODULE import Scale

            @pytest.mark.verifies("REQ")
            def test_a_scale_reads_and_writes():
                assert (Scale().read(), Scale().write()) == (7, 8)
            """,
    ),
    Case(
        name="asserts_nothing",
        finding="below_level",
        safety_class="C",
        test="""
            import contextlib
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                for degrees in (32, -500):
                    with contextlib.suppress(ValueError):
                        MODULE.celsius(degrees)
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            @pytest.mark.parametrize(("fahrenheit", "celsius"), [(32, 0), (212, 100), (-459, -273), (50, 10)])
            def test_water_freezes(fahrenheit, celsius):
                assert MODULE.celsius(fahrenheit) == celsius

            @pytest.mark.verifies("REQ")
            @pytest.mark.parametrize("fahrenheit", [-460, -500])
            def test_nothing_is_colder_than_cold(fahrenheit):
                with pytest.raises(ValueError):
                    MODULE.celsius(fahrenheit)
            """,
    ),
    Case(
        name="exception_in_class_c",
        finding="words_only",
        safety_class="C",
        code="""
            # exception: REQ: nobody has found a way
            def kelvin(celsius):
                return celsius + 273
            """,
        test="",
        honest_code="""
            # implements: REQ
            def kelvin(celsius):
                return celsius + 273
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.kelvin(0) == 273
            """,
    ),
    Case(
        name="exception_without_reason",
        finding="mark_unreadable",
        code="""
            # exception: REQ
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
        test="",
        honest_code="""
            # exception: REQ: measured in kelvin by all who use it
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
        honest_test="",
    ),
    Case(
        name="todo_that_is_late",
        finding="overdue",
        code="""
            # todo: REQ: Anna Example, 2001-01-31: waits for the probe
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
        test="",
        honest_code="""
            # todo: REQ: Anna Example, 2999-01-31: waits for the probe
            def celsius(fahrenheit):
                return (fahrenheit - 32) * 5 // 9
            """,
        honest_test="",
    ),
    Case(
        name="inspection_without_record",
        finding="record_missing",
        code="",
        test="",
        honest_code="",
        honest_test="",
        more={"verification": "inspection", "record": "docs/inspection.md"},
    ),
)
