"""Tests that claim and are not counted, because of what became of them."""

from tests.trace_case import TEST, Case

CASES = (
    Case(
        name="skipped",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.skip(reason="later")
            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="skipped_after_running",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                if MODULE.celsius(32) == 0:
                    pytest.skip("enough seen")
            """,
    ),
    Case(
        name="failing_as_expected",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.xfail
            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 1
            """,
    ),
    Case(
        name="passing_unexpectedly",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.xfail(strict=False)
            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="failing",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 1
            """,
    ),
    Case(
        name="failing_afterwards",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.fixture
            def after():
                yield
                raise OSError("nothing was closed")

            @pytest.mark.verifies("REQ")
            def test_water_freezes(after):
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="retried",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            tries = []

            @pytest.mark.retried
            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                tries.append(1)
                assert MODULE.celsius(32) == 0 and len(tries) > 1
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.retried
            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="one_of_its_parameters_skipped",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.parametrize("degrees", [32, pytest.param(212, marks=pytest.mark.skip(reason="hot"))])
            @pytest.mark.verifies("REQ")
            def test_water_freezes(degrees):
                assert MODULE.celsius(degrees) in (0, 100)
            """,
        honest_test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.parametrize("degrees", [32, pytest.param(212, id="[a::b]")])
            @pytest.mark.verifies("REQ")
            def test_water_freezes(degrees):
                assert MODULE.celsius(degrees) in (0, 100)
            """,
    ),
    Case(
        name="never_collected",
        finding="test_not_counted",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def check_water_freezes():
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="shadowed",
        finding="ambiguous",
        test="""
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 5

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                assert MODULE.celsius(32) == 0
            """,
    ),
    Case(
        name="nobody_claims_it",
        finding="without_test",
        test=TEST.replace('@pytest.mark.verifies("REQ")', ""),
    ),
    Case(
        name="trace_function_taken_away",
        finding="unavailable",
        test="""
            import sys
            import pytest
            from thermo import MODULE

            @pytest.mark.verifies("REQ")
            def test_water_freezes():
                sys.settrace(None)
                assert MODULE.celsius(32) == 0
            """,
    ),
)
