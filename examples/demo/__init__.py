"""The demo: a story told on real parts, and every promise in it checked by reading the systems.

`make demo` runs it. Start reading in `run.py`; `story.py` says what happens, `promises.py` what must hold,
and `examples/shop` where it happens.
"""
