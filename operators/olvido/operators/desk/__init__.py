"""What an operator can do, without a terminal: use cases from values to values.

Nothing in here prints, asks, or chooses an exit code. The command line, `olvido.operators.cli`, is one
face of it.
"""
