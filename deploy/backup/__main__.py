"""``python -m backup``: the command ``prefect-backup``."""

from backup.cli import main

if __name__ == "__main__":
    main()
