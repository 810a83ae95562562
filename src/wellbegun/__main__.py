"""`python -m wellbegun` is the command line."""

from wellbegun.cli import main

if __name__ == "__main__":
    main()
