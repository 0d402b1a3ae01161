"""``Workflow``: a graph that is written down first, draws itself, checks itself, and runs as recorded functions.

    support = Workflow("support", inputs="ticket", returns="receipt")
    support.step(classify, gives="guess", model="smollm2", fallback=keywords, on=TimeoutError)
    support.route(lambda guess: guess.confidence, {"sure": "draft"}, bands=BANDS, otherwise="ask")
    support.step(draft, gives="reply")
    support.human("What does this customer want? {ticket}", name="ask")
    support.effect(send, gives="receipt")

    support.run(ticket="I lost my card")

A function's parameters are filled by name: from the inputs, and from what other nodes give. What does not wait for
anything of another runs beside it.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable, Literal, Mapping, Sequence

from router.deciding.bands import Bands
from router.errors import InvalidWorkflow
from router.flow import Reject
from router.paper.checks import Problem, problems
from router.paper.course import Course
from router.paper.declaring import (
    Ref,
    Refs,
    asked,
    branches,
    deciding,
    declared,
    definition_of,
    domain,
    name_of,
    names,
    place,
)
from router.paper.driving import run, run_async
from router.paper.node import Again, Ask, Choose, Node, Run, Work
from router.paper.wiring import Wiring
from router.retry import On
from tracer.context import UNSET
from tracer.decorators import effect, step, workflow
from tracer.model import Kind

if TYPE_CHECKING:
    from tracer.drawing import Graph

Functions = Callable[..., Any] | Sequence[Callable[..., Any]]


class Workflow:
    """A workflow on paper.

    ``inputs`` are the names that ``run`` takes; ``returns`` names the value, or several, that it gives: without it
    those of the nodes that nothing comes after. One name gives its value, or None where no node on the way gave it;
    several give a mapping of those that were given. At most ``parallel`` nodes run at once.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to say about a workflow
        self,
        name: str,
        *,
        inputs: str | Sequence[str] = (),
        returns: str | Sequence[str] = (),
        parallel: int = 4,
        version: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        self.returns = (returns,) if isinstance(returns, str) else tuple(returns)
        self.place = place(1)
        self._module: str = sys._getframe(1).f_globals.get("__name__", "__main__")  # noqa: SLF001 - its only name
        if parallel < 1:
            raise ValueError(f"parallel is {parallel}: at least one node has to run")
        wrong = [each for each in self.inputs if not each.isidentifier()]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} can't be the name of an input: it is none in Python")
        self._parallel = parallel
        self._told = {"name": name, "version": version, "tags": tags}
        self._nodes: dict[str, Node] = {}
        self._made: dict[str, Callable[..., Any]] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """In the order of their declaration."""
        return tuple(self._nodes.values())

    def step(  # noqa: PLR0913 - each is one thing to say about a step
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        gives: str | None = None,
        takes: Mapping[str, str] | None = None,
        after: Refs = (),
        kind: Kind = "step",
        model: str | None = None,
        fallback: Functions | None = UNSET,
        on: On | None = None,
        reject: Reject | None = None,
    ) -> Node:
        """A function, decorated or not. Its value is called ``gives``, else as the step is.

        ``takes`` says of single parameters what they take: ``{"intent": "guess.intent"}``. ``after`` are nodes that
        must have run though nothing of theirs is taken. ``model`` names the model that the function asks; ``fallback``
        are functions to call instead, in order, after errors that ``on`` names or where ``reject`` gives a reason.
        """
        where = place(1)
        label = name or name_of(function)
        others: list[Callable[..., Any]] = []
        if fallback is not UNSET and fallback is not None:
            others = [fallback] if callable(fallback) else list(fallback)
        if bool(others) != (on is not None) or (reject is not None and not others):
            raise InvalidWorkflow(self.name, [f"{where}: {label}: fallback= and on= go together: on which errors?"])
        called = {each: name_of(each) if each is not function or others else label for each in (function, *others)}
        made = tuple(
            declared(
                each,
                lambda given: step(kind=kind, name=called[given], model=model if given is function else None)(given),
                takes={key: value for key, value in (takes or {}).items() if each is function or _has(each, key)},
                name=called[each],
                model=model if each is function else None,
                where=where,
            )
            for each in (function, *others)
        )
        if len({each.name for each in made}) < len(made):
            raise InvalidWorkflow(self.name, [f"{where}: {label}: two functions of one fallback have the same name"])
        work = Run(made, on, reject, is_settled=fallback is not UNSET)
        return self._add(label, work, gives or label, after, where)

    def effect(  # noqa: PLR0913 - likewise
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        gives: str | None = None,
        takes: Mapping[str, str] | None = None,
        after: Refs = (),
        stand_in: Any = UNSET,
    ) -> Node:
        """A function that acts on the world: a replay never calls it again (``tracer.effect``)."""
        where = place(1)
        label = name or name_of(function)
        made = declared(function, effect(name=label, stand_in=stand_in), takes=takes or {}, name=label, where=where)
        return self._add(label, Run((made,), is_settled=True), gives or label, after, where, is_effect=True)

    def route(  # noqa: PLR0913 - likewise
        self,
        by: Callable[..., Any],
        to: Mapping[Any, Ref | None],
        *,
        otherwise: Ref | None = UNSET,
        bands: Bands | None = None,
        name: str = "route",
        takes: Mapping[str, str] | None = None,
        after: Refs = (),
    ) -> Node:
        """A decision: ``by`` gives a value, and ``to`` says which node it leads to; None ends that way.

        With ``bands``, ``by`` gives a confidence, and the band (sure, unsure, hopeless) is the way. ``otherwise`` is
        where any other value leads. A node that routes lead to runs only when one of them chose it.
        """
        where = place(1)
        ways = branches(to)
        others = () if otherwise is UNSET else (None if otherwise is None else names(otherwise)[0],)

        def record(given: Callable[..., Any]) -> Callable[..., Any]:
            return given if bands is not None else deciding(given, name, [*to, *(["otherwise"] if others else [])])

        made = declared(by, record, takes=takes or {}, name=name, where=where)
        work = Choose(made, ways, others, bands, domain(by, bands))
        return self._add(name, work, None, after, where)

    def human(  # noqa: PLR0913 - likewise
        self,
        question: str,
        *,
        options: Sequence[str] = (),
        schema: Any = None,
        context: str | Sequence[str] = (),
        timeout_s: float | None = None,
        default: Any = UNSET,
        name: str = "human",
        gives: str | None = None,
        after: Refs = (),
    ) -> Node:
        """A question to a person (``router.escalate``): values that it names in braces are filled in, and go with it
        as its context, together with those that ``context`` names. The answer is one of ``options``, or a value of the
        type ``schema``; after ``timeout_s`` seconds the ``default`` is taken, or, without one, EscalationExpired
        raised."""
        where = place(1)
        more = (context,) if isinstance(context, str) else tuple(context)
        told = {"schema": schema, "timeout_s": timeout_s}
        terms = {term: value for term, value in told.items() if value is not None}
        if default is not UNSET:
            terms["default"] = default
        work = Ask(question, tuple(options), asked(question, more, where, name), terms)
        return self._add(name, work, gives or name, after, where)

    def repeat(  # noqa: PLR0913 - likewise
        self,
        function: Callable[..., Any],
        *,
        until: Callable[[Any], bool],
        at_most: int,
        otherwise: Literal["raise", "last"] = "raise",
        name: str | None = None,
        gives: str | None = None,
        takes: Mapping[str, str] | None = None,
        after: Refs = (),
        model: str | None = None,
    ) -> Node:
        """Call a function until ``until`` holds of its value, at most ``at_most`` times: the only loop there is.

        A parameter of the name that it ``gives`` gets, from the second round on, what the last round gave. Where the
        rounds are used up, NotReached is raised, or (``otherwise="last"``) the last value goes on.
        """
        where = place(1)
        label = name or name_of(function)
        if at_most < 1:
            raise InvalidWorkflow(self.name, [f"{where}: {label}: at_most is {at_most}; it takes 1 or more"])
        made = declared(
            function, step(name=label, model=model), takes=takes or {}, name=label, model=model, where=where
        )
        return self._add(label, Again(made, until, at_most, otherwise), gives or label, after, where)

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong or odd about it as it stands, errors first, each with its place and the way out."""
        return problems(Wiring(self.nodes, self.inputs), returns=self.returns, place=self.place)

    def check(self) -> tuple[Problem, ...]:
        """Raise InvalidWorkflow if it can't run; else give what is merely odd. The first run checks by itself."""
        found = self.problems()
        errors = [str(problem) for problem in found if problem.severity == "error"]
        if errors:
            raise InvalidWorkflow(self.name, errors)
        return found

    @property
    def run(self) -> Callable[..., Any]:
        """Call it with the inputs: ``support.run(ticket=...)``. A recorded workflow like any decorated function."""
        return self._entry("run")

    @property
    def arun(self) -> Callable[..., Any]:
        """The same to be awaited: ``await support.arun(ticket=...)``. Plain functions run on threads meanwhile."""
        return self._entry("arun")

    def graph(self) -> Graph:
        """The workflow as boxes and arrows, in words for people who don't read code."""
        from router.paper.picture import picture  # noqa: PLC0415 - drawing is for who looks, not for who runs

        return picture(self)

    def svg(self) -> str:
        """The drawing for people who read no code; one SVG element."""
        from tracer.drawing import svg  # noqa: PLC0415 - likewise

        return svg(self.graph())

    def mermaid(self) -> str:
        """The drawing for pages that make their own of Mermaid text."""
        from tracer.drawing import mermaid  # noqa: PLC0415 - likewise

        return mermaid(self.graph())

    def text(self, *, width: int = 100) -> str:
        """The drawing in box characters; where it is wider than ``width`` columns, as a list."""
        from tracer.drawing import text  # noqa: PLC0415 - likewise

        return text(self.graph(), width=width)

    def _add(  # noqa: PLR0913 - what a node is
        self, name: str, work: Work, gives: str | None, after: Refs, where: str, *, is_effect: bool = False
    ) -> Node:
        if name in self._nodes:
            first = self._nodes[name].place
            raise InvalidWorkflow(
                self.name,
                [f"{where}: there is a {name} already, declared at {first}: give this one a name= of its own"],
            )
        self._made.clear()
        self._nodes[name] = Node(name, work, gives, names(after), where, is_effect)
        return self._nodes[name]

    def _entry(self, verb: str) -> Callable[..., Any]:
        """The recorded function behind ``run`` or ``arun``: made once, when the graph is complete."""
        if verb not in self._made:
            self.check()
            self._made[verb] = self._recorded(verb)
        return self._made[verb]

    def _recorded(self, verb: str) -> Callable[..., Any]:
        wiring = Wiring(self.nodes, self.inputs)
        returns = self.returns or tuple(
            dict.fromkeys(gives for name in wiring.ends if (gives := wiring.nodes[name].gives) is not None)
        )
        #: Plain, and named below: it is by this that a replay sees that the workflow itself has changed.
        definition = (self.inputs, returns, *(definition_of(node) for node in self.nodes))
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in self.inputs]
        signature = inspect.Signature(parameters)

        def begin(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Course:
            return Course(wiring, signature.bind(*args, **kwargs).arguments)

        def result(course: Course) -> Any:
            given = {name: value for name in returns for value in course.value(name)}
            return given.get(returns[0]) if len(returns) == 1 else given

        def on_paper(*args: Any, **kwargs: Any) -> Any:
            assert definition
            course = begin(args, kwargs)
            run(course, parallel=self._parallel)
            return result(course)

        async def on_paper_async(*args: Any, **kwargs: Any) -> Any:
            assert definition
            course = begin(args, kwargs)
            await run_async(course, parallel=self._parallel)
            return result(course)

        function: Any = on_paper if verb == "run" else on_paper_async
        function.__name__ = verb
        function.__qualname__ = f"{self._variable()}.{verb}"
        function.__module__ = self._module
        function.__signature__ = signature
        function.__doc__ = f"Run the workflow {self.name}."
        return workflow(**self._told)(function)  # type: ignore[call-overload,no-any-return]  # what workflow() was told

    def _variable(self) -> str:
        """What the module calls this workflow, by which a replay finds it; one that no module names can't be found."""
        known = vars(sys.modules[self._module]) if self._module in sys.modules else {}
        return next((name for name, value in known.items() if value is self), f"<locals>.{self.name}")


def _has(function: Callable[..., Any], parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters
