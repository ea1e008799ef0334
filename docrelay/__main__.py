"""`python -m docrelay`: the same as the `docrelay` command."""

from __future__ import annotations

from docrelay.cli import main

if __name__ == "__main__":
    main()
