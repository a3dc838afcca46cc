"""Build the library and say who computes attention from now on."""

import sys

from attention_surgeon.compiled import build, who_computes
from attention_surgeon.errors import OptionError


def main() -> int:
    """Build; a machine without a compiler is no failure, because nothing needs it."""
    try:
        build()
    except OptionError as error:
        print(error)
        return 0
    print(who_computes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
