"""Which model: by rules, by a confidence and its bands, by asking a dearer one when unsure, by a vote.

``bands``, ``rules``, ``predicates``, ``cascade`` and ``vote`` are pure; ``recorded``, ``cascading`` and ``voting`` call
and record.
"""
