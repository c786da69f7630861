"""`python -m avdetect` is `avdetect`."""

from avdetect.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
