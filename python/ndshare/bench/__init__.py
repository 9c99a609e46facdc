"""`ndshare bench`: a quick look at this machine, beside what the standard library offers.

`pair` two processes that measure together, `arrays`, `streams` and `services` the ways to do a
work, `stdlib` the same of multiprocessing, `questions` what is compared with what, `rounds` runs
and judges. Nothing here is imported before the command runs. The thorough comparison, with limits
in C and more peers, is the repository's `make bench`.
"""
