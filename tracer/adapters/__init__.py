"""One module for each framework that hides the running step from its own workers: what carries it there, and no more.

A module here imports its framework, so it is imported by who uses that framework, and by nobody else. ``import tracer``
loads none of them.
"""
