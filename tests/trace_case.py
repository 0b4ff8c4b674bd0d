"""Claims that are not true, each beside the honest one that looks like it.

A case is a piece of code, its tests, and what is found of it. `code` is module `thermo/MODULE.py`, `test` its test
file; REQ stands for the id of the case's own requirement. The honest twin differs in as little as it can, and nothing
may be found of it.
"""

from dataclasses import dataclass, field

CODE = """
    from thermo.marks import implements

    @implements("REQ")
    def celsius(fahrenheit):
        "Degrees Celsius."
        if fahrenheit < -459:
            raise ValueError("colder than cold")
        return (fahrenheit - 32) * 5 // 9
    """
TEST = """
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
    code: str = CODE
    test: str = TEST
    honest_code: str = CODE
    honest_test: str = TEST
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
