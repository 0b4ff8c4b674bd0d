"""Claims that are not true, each beside the honest one that looks like it.

A case is a piece of code, its tests, and what is found of it. `code` is module `thermo/MODULE.py`, `test` its test
file; REQ stands for the id of the case's own requirement. The honest twin differs in as little as it can, and nothing
may be found of it.
"""

from dataclasses import dataclass, field

_CODE = """
    from thermo.marks import implements

    @implements("REQ")
    def celsius(fahrenheit):
        "Degrees Celsius."
        if fahrenheit < -459:
            raise ValueError("colder than cold")
        return (fahrenheit - 32) * 5 // 9
    """
_TEST = """
    import pytest
    from thermo import MODULE

    @pytest.mark.verifies("REQ")
    def test_water_freezes():
        assert MODULE.celsius(32) == 0
    """


@dataclass(frozen=True, kw_only=True)
class Case:
    """`finding` is what must be found of the lie."""

    name: str
    finding: str
    code: str = _CODE
    test: str = _TEST
    honest_code: str = _CODE
    honest_test: str = _TEST
    safety_class: str = "A"
    more: dict = field(default_factory=dict)

    def lie(self):
        return self._named(self.code), self._named(self.test)

    def honest(self):
        return self._named(self.honest_code), self._named(self.honest_test)

    @property
    def requirement(self):
        return f"REQ-{self.name.upper().replace('_', '-')}-1"

    def _named(self, text):
        return (
            text.replace('"REQ"', f'"{self.requirement}"')
            .replace(": REQ", f": {self.requirement}")
            .replace("MODULE", self.name)
        )


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
        code=_CODE
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
        honest_code=_CODE
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
        name="renamed_id",
        finding="unknown_id",
        code=_CODE.replace('"REQ"', '"REQ", "REQ-OLD-NAME-1"'),
    ),
    Case(
        name="retired_id",
        finding="retired_id",
        code=_CODE.replace('"REQ"', '"REQ", "REQ-RETIRED-1"'),
    ),
    Case(
        name="marked_twice",
        finding="duplicate",
        code=_CODE.replace('@implements("REQ")', '@implements("REQ")\n    @implements("REQ")'),
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
        name="nobody_claims_it",
        finding="without_test",
        test=_TEST.replace('@pytest.mark.verifies("REQ")', ""),
    ),
    Case(
        name="nothing_implements_it",
        finding="without_code",
        code=_CODE.replace('@implements("REQ")', ""),
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
    Case(
        name="dead_branch",
        finding="below_level",
        safety_class="B",
        honest_test=_TEST
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

# What the retrying plugins do, in a few lines: a test that fails is run again, and reported as "rerun" first.
CONFTEST = """
    from _pytest.runner import runtestprotocol

    def pytest_configure(config):
        config.addinivalue_line("markers", "retried: may be tried twice")

    def pytest_runtest_protocol(item, nextitem):
        if item.get_closest_marker("retried") is None:
            return None
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if any(report.failed for report in reports):
            for report in reports:
                report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
            item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        return True
    """
