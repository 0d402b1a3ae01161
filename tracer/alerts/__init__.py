"""Rules over what is recorded, and who is told when one of them holds: ``playhead watch``."""
