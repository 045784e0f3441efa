"""Telling: the last word on a compacted topic is what is so.

Between reading a state and telling it a process may stand still, and somebody else tell a newer one. So
whoever has told looks at the ledger once more, and tells what is no more as it was told, until all is:

    begin (a row)  ▸  publish  ▸  look: is it so?  ▸  end (the row is deleted)
                         ▲                │ no
                         └────────────────┘

Let the last word about something be an older one. Whoever told it has looked afterwards. Then it was no
more so, and was told anew; or it was so, and changed after the look: then whoever changed it has told that
still later. Both contradict that it was the last. What is left is who dies before the look:

- before ``begin``: nothing was told. The batch comes again, or the timer's next look finds the same. Requests
  and consents begin in the transaction that saves them: their batch may never come again, if another process
  whose clock is behind has refused the same records meanwhile.
- after it: the row stays, and :meth:`Telling.run_once` of anybody tells what is so, in a telling of its own.
  A batch that comes again would do as well, but who died may have been a zombie, whose batch was done by
  the next owner meanwhile: nobody would be brought it again.
- at the delete: the row is there or is not; if it is, the same is told once more.

A row counts as left behind after ``GIVEN_UP_AFTER``. Nobody heals a process that stands still for longer
than that and then, within the millisecond after its publish, dies.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from olvido.ledger.progress import OffsetRange
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission, Prepared

logger = logging.getLogger("olvido.processors")

GIVEN_UP_AFTER = timedelta(minutes=10)  # more than a worker or its group is patient with a batch
TELLINGS_MAX = 20  # of up to a batch each, that one look tells again


class Telling:
    """Sends what a step asks for, and sees to it that what it tells is so."""

    def __init__(self, ledger: Ledger, emission: Emission) -> None:
        self._ledger = ledger
        self._emission = emission

    def send(self, prepared: Prepared, *, handled: Sequence[OffsetRange] = ()) -> None:
        """Send everything, and note the records that asked for it as handled.

        Raises:
            Unavailable: the broker or the ledger does not answer. Calling again tells everything again.
        """
        if not prepared.standing:
            self._emission.send(prepared)
            if handled:
                self._ledger.progress.add(handled)
            return
        told = prepared.standing
        publication_id = prepared.publication_id
        if publication_id is None:
            publication_id = self._ledger.publications.begin(told.about)
        self._emission.send(prepared)
        # Killed from here on, or before the publish: what was begun is told again by run_once.
        while changed := self._ledger.publications.end(publication_id, told, handled=handled):
            self._emission.send(self._emission.prepare(statuses=changed.statuses, states=changed.states))
            told = told.updated_by(changed)

    def run_once(self) -> int:
        """Tell what is so of whatever somebody began to tell and never ended; returns of how many tellings.

        Raises:
            Unavailable: the broker or the ledger does not answer.
        """
        left, about = self._ledger.publications.unended(older_than=GIVEN_UP_AFTER, limit=TELLINGS_MAX)
        if left:
            standing = self._ledger.publications.snapshot(about)
            self.send(self._emission.prepare(statuses=standing.statuses, states=standing.states))
            # Killed before this line: they are told again, by whoever looks next.
            self._ledger.publications.end_all(left)
            logger.info("told again what %d publications left behind", len(left))
        return len(left)
