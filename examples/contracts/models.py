"""The models that read a contract, by name. All of them run on this machine, so they cost nothing, by declaration."""

from __future__ import annotations

from support.local_llm import CONTEXT_TOKENS, SLOTS, LocalLlm

from contracts import clause_check, clause_lr, playbook
from tracer import FREE, Target

CLAUSE_LR = Target(clause_lr.NAME, call=clause_lr.answer, price=FREE)
PLAYBOOK = Target(playbook.NAME, call=playbook.answer, price=FREE)
SMOLLM2 = Target(
    "smollm2-135m", launcher=LocalLlm(alias="smollm2-135m"), context_tokens=CONTEXT_TOKENS // SLOTS, price=FREE
)
CLAUSE_CHECK = Target(clause_check.NAME, call=clause_check.answer, price=FREE)
CATALOGUE = (CLAUSE_LR, PLAYBOOK, SMOLLM2, CLAUSE_CHECK)
