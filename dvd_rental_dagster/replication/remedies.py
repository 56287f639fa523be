"""What helps, in the words of the errors of more than one module."""

RESUME = "Run it again: a sync goes on where it stopped."
"""Where a connection broke."""

PREPARE = "Run dvd-rental source prepare."
"""Where the source lacks the slot, or the publication is another than the streams need."""

RELOAD = "Load everything again with dvd-rental resync."
"""Where the log does not go on where the ledger ends."""
