"""`python -m ndshare.demo`: the same command as `ndshare demo`."""

from ndshare.demo.app import app

app(prog_name="python -m ndshare.demo")
