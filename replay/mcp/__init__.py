"""``playhead mcp``: what is recorded, told to a coding agent over the Model Context Protocol.

``server`` speaks the protocol and is the only module that needs the package of that name; ``tools`` is the table of
what can be asked, ``arguments`` what each takes. ``reading`` and ``telling`` answer from the store, ``replaying`` from
a process of its own. Every answer is text of bounded size (``bounded``) that says what it leaves out.
"""
