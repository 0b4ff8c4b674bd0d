"""Tests that claim code and do not run it, or not in the test itself."""

from tests.trace_case import CODE, Case

CASES = (
    Case(
        name="never_run",
        finding="claim_disproved",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert (32 - 32) * 5 // 9 == 0
            """,
    ),
    Case(
        name="run_in_setup_only",
        finding="claim_disproved",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.fixture
            def frozen():
                return MODULE.celsius(32)

            @pytest.mark.verifies("REQ")
            def test_water_freezes(frozen):
                assert frozen == 0
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.fixture
            def frozen():
                return 32

            @pytest.mark.verifies("REQ")
            def test_water_freezes(frozen):
                assert MODULE.celsius(frozen) == 0
            """,
    ),
    Case(
        name="run_in_teardown_only",
        finding="claim_disproved",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.fixture
            def after():
                yield
                MODULE.celsius(32)

            @pytest.mark.verifies("REQ")
            def test_water_freezes(after):
                assert True
            """,
    ),
    Case(
        name="run_at_import_only",
        finding="claim_disproved",
        code=CODE
        + """
    FREEZING = celsius(32)
    """,
        test="""
            import pytest
            from thermo.MODULE import FREEZING

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert FREEZING == 0
            """,
        honest_code=CODE
        + """
    FREEZING = celsius(32)
    """,
    ),
    Case(
        name="imported_only",
        finding="claim_disproved",
        test="""
            import pytest

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                from thermo import MODULE
                assert callable(MODULE.celsius)
            """,
        honest_test="""
            import pytest

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                from thermo import MODULE
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="one_line_imported_only",
        finding="claim_disproved",
        code="""
            from thermo.marks import implements

            @implements("REQ")
            def celsius(fahrenheit): return (fahrenheit - 32) * 5 // 9
            """,
        test="""
            import pytest

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                from thermo import MODULE
                assert callable(MODULE.celsius)
            """,
        honest_code="""
            from thermo.marks import implements

            @implements("REQ")
            def celsius(fahrenheit): return (fahrenheit - 32) * 5 // 9
            """,
    ),
    Case(
        name="mocked",
        finding="claim_disproved",
        test="""
            from unittest import mock
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                with mock.patch.object(MODULE, "celsius", return_value=0):
                    assert MODULE.celsius(32) == 0
            """,
        honest_test="""
            from unittest import mock
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                with mock.patch.object(MODULE, "celsius", wraps=MODULE.celsius):
                    assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="generator_never_begun",
        finding="claim_disproved",
        code="""
            from thermo.marks import implements

            @implements("REQ")
            def readings(start):
                while True:
                    yield start
                    start += 1
            """,
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_readings_follow_each_other():
                assert MODULE.readings(1) is not None
            """,
        honest_code="""
            from thermo.marks import implements

            @implements("REQ")
            def readings(start):
                while True:
                    yield start
                    start += 1
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_readings_follow_each_other():
                found = MODULE.readings(1)
                assert [next(found), next(found)] == [1, 2]
            """,
    ),
    Case(
        name="other_method_run",
        finding="not_run_by_claims",
        code="""
            from thermo.marks import implements

            class Scale:
                @implements("REQ")
                def read(self):
                    return 7

                @implements("REQ")
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

            class Scale:
                @implements("REQ")
                def read(self):
                    return 7
            """,
        honest_test="""
            import pytest
            from thermo.MODULE import Scale

            @pytest.mark.verifies("REQ")
            def test_a_scale_reads():
                assert Scale().read() == 7
            """,
    ),
)
