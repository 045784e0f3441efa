"""`python -m olvido.operators.cli`: the `olvido` command where no script of that name is installed."""

from olvido.operators.cli.app import main

main()
