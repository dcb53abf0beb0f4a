"""`python -m ftetl`."""

from ftetl.cli.main import run

if __name__ == "__main__":
    run()
