"""A pytest plugin: where `check_attention` fails, the report also says which mistake it is.

It is loaded by every pytest run in an environment that has this package, so it imports nothing until it is needed.
"""

from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add a section with the diagnosis to the report of a test that an attention failed."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    contract = getattr(error, "contract", None)
    if type(error).__name__ == "ContractError" and contract is not None:
        from attention_surgeon.diagnose import diagnose
        from attention_surgeon.diagnose.text import as_text

        diagnosis = diagnose(getattr(error, "target", None), contract)
        report.sections.append(("what is wrong with this attention", as_text(diagnosis)))
    return report
