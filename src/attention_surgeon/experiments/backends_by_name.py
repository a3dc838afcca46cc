"""The workers that a `Backend` names: above those who know how, so that none of them has to know the others."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from attention_surgeon.experiments.backends import Backend, Workers


def open_workers(backend: Backend, on_note: Callable[[str], None]) -> AbstractContextManager[Workers]:
    """Return the workers, as the target of a `with`; at its end they are let go.

    Args:
        backend: Who is wanted.
        on_note: Called with a sentence when something is worth knowing, such as a worker that was lost.

    Raises:
        LoadError: a package is missing.
        ClusterError: nobody answers at the address, or those there cannot do the work.
    """
    # Imported here, because these load joblib, dask or ray, and most who use the package never need them.
    if backend.name == "dask":
        from attention_surgeon.experiments import backends_dask as opener
    elif backend.name == "ray":
        from attention_surgeon.experiments import backends_ray as opener
    else:
        from attention_surgeon.experiments import backends_joblib as opener
    return opener.open_workers(backend, on_note)
