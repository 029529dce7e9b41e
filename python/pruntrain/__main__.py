"""python3 -m pruntrain FILE.h5: the same as scripts/pruntrain_io.py."""
import sys

from .missing_packages import explain

explain(__name__)
if __name__ == "__main__":
    from .command_line import main

    sys.argv[0] = "pruntrain"
    main()
