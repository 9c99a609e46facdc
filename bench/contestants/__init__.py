"""The Python contestants: `python -m contestants.attach ndshare`, in the folder above."""
