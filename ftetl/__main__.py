"""`python -m ftetl`."""

from ftetl.cli.main import main

if __name__ == "__main__":
    main()
