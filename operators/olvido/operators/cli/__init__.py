"""The `olvido` command: one module a group of commands, each thin over `olvido.operators.desk`.

This file imports nothing: a command loads only what it uses. Start reading in `app.py`.
"""
