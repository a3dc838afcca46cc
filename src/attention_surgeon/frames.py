"""Records as a table of pandas, which is loaded only where somebody asks for one."""

from collections.abc import Sequence
from typing import Any

from attention_surgeon.errors import LoadError


def as_data_frame(rows: Sequence[dict[str, Any]]) -> Any:
    """Return records as a `pandas.DataFrame`.

    Raises:
        LoadError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise LoadError(
            "to_pandas() needs pandas, which is not installed: pip install 'attention-surgeon[pandas]'."
        ) from None
    return pandas.DataFrame(list(rows))
