from __future__ import annotations

from tests.recording import Project, project

__all__ = ["project"]

# ``late`` is a module that another thread is importing: until a fork waits for it, or until the fork is over.
LATE = "from tracer import importing\nwhile not {until}: pass\nVALUE = 7\n"

FORKING = """
import os, sys, threading
from tracer import importing, workflow
from tracer.guard import degraded
from tracer.importing import IMPORTING

def late():
    with IMPORTING:
        import late

flow = workflow(name="flow")(lambda x: x)
importing._PATIENCE_S = {patience_s}
importing.forked = False
thread = threading.Thread(target=late)
thread.start()
while "late" not in sys.modules:
    pass
child = os.fork()
if child == 0:
{child}
importing.forked = True
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


class TestAForkWhileAnotherThreadImports:
    def test_waits_until_that_is_imported(self, project: Project) -> None:
        project.script(LATE.format(until="importing._changed._waiters"), "late.py")
        child = "    import late\n    os._exit(late.VALUE)"
        ran = project.python(FORKING.format(patience_s=60.0, child=child))
        assert (ran.stdout, ran.stderr) == ("7\n", "")

    def test_goes_on_after_a_while_and_the_child_runs_without_being_recorded(self, project: Project) -> None:
        project.script(LATE.format(until="importing.forked"), "late.py")
        child = "    os._exit(flow(5) + len(degraded))"
        ran = project.python(FORKING.format(patience_s=0.01, child=child), PLAYHEAD_STRICT="0")
        assert ran.stdout == "6\n"
        assert "could not record in this forked process (its parent was in the middle of an import)" in ran.stderr
        assert project.traces() == []
