"""The start of the command `clm`.

An installed service is this package alone, with `app` and `migrations` inside it, so that it takes
no common name from other packages. In the process of the command they are found first.
"""

import gc
import sys
from pathlib import Path


def main() -> None:
    """Run the command with the packages of this folder before all others."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    gc.disable()  # all that is imported stays: to look for garbage in it takes a while
    from app.cli.commands import main as run  # noqa: PLC0415  # found through the line above

    gc.enable()
    run()


if __name__ == "__main__":
    main()
