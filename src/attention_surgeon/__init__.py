"""Build attention by hand, break it on purpose, and see exactly what happens.

The public names stand in `__init__.pyi`; each is loaded from its room when it is first used, so that importing the
package costs nothing.

    >>> import attention_surgeon as surgeon
    >>> print(surgeon.causal_mask(3).draw())
    x..
    xx.
    xxx
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
