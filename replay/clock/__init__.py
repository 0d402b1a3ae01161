"""Time in a replay: waits that are served like everything else, without being waited.

Virtual time is real time plus what was skipped. While a replay runs, a wait is skipped as soon as nothing real is
going on in it that could end first: no open connection of an event loop, no other thread at work. It moves the clock
that code inside the replay reads, so that a deadline passes when it should. Code outside keeps real time.
"""

from replay.clock.player import TimedPlayer
from replay.clock.virtual import VirtualClock

__all__ = ["TimedPlayer", "VirtualClock"]
