"""The embedded parts (broker, registry, database) and the supervisor behind `olvido up | down | status`.

This file imports nothing: supervisord loads `keeper.py` of this package, and it is to stay small.
Start reading in `stack.py`.
"""
