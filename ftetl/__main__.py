"""`python -m ftetl`."""

from ftetl.cli import main

if __name__ == "__main__":
    main()
