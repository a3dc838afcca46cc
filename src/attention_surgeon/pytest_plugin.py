"""A pytest plugin: where `check_attention` fails, the report also says which mistake it is.

It is loaded by every pytest run in an environment that has this package, so it imports nothing until it is needed.
"""

import sys
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add a section with the diagnosis to the report of a test that an attention failed."""
    report = yield
    errors = sys.modules.get("attention_surgeon.errors")
    error: Any = None if call.excinfo is None else call.excinfo.value
    if errors is not None and isinstance(error, errors.ContractError) and error.contract is not None:
        from attention_surgeon.cli.verdict import as_text
        from attention_surgeon.diagnose import diagnose
        from attention_surgeon.diagnose.observed import with_location

        found = with_location(diagnose(error.target, error.contract), error.target)
        report.sections.append(("what is wrong with this attention", as_text(found)))
    return report
