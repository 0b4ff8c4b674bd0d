"""All the lies, and what the projects that hold them share."""

from tests import trace_lies_marks, trace_lies_proofs, trace_lies_results, trace_lies_runs

CASES = (*trace_lies_runs.CASES, *trace_lies_results.CASES, *trace_lies_marks.CASES, *trace_lies_proofs.CASES)

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
