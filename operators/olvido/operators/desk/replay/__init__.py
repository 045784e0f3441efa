"""Replay: the same tasks again, with the same ids. Plan, look, run.

Read in this order: ``asking`` (what may be asked for), ``planning`` (what it comes to), ``issuing``
(what is sent for one source), ``running``, ``shadow``; ``plans`` has the
use cases.
"""
