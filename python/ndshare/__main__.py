"""`python -m ndshare`, the same as `ndshare`."""

from ndshare.cli import main

if __name__ == "__main__":
    main()
