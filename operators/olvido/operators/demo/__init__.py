"""`olvido demo`: a story told on real parts, and every promise in it checked by reading the systems.

Start reading in `run.py`; `people.py` says who there is, `story.py` what happens, `promises.py` what holds.
"""
