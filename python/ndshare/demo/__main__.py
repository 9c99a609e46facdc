"""`python -m ndshare.demo`: the same command as `ndshare demo`."""

from ndshare.demo.app import app

app(prog_name="ndshare demo")
