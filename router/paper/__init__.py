"""Workflows that are written down as a graph first: checked, drawn, and run as the same recorded functions."""

from router.paper.checks import Problem
from router.paper.workflow import Workflow

__all__ = ["Problem", "Workflow"]
