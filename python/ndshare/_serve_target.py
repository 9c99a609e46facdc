"""The target of serve(): what it says about itself, and how a model is made of it."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ndshare._errors import RemoteError, said
from ndshare._service import OnBatch, Worker, _batch_wish
from ndshare._spec import SpecLike

Fields = Mapping[str, SpecLike]
Model = Callable[..., Any] | OnBatch


@dataclass(frozen=True)
class Plan:
    """What serve() was asked for. None: what the target says itself."""

    target: str | Model
    name: str | None = None
    inputs: Fields | None = None
    outputs: Fields | None = None
    max_batch_size: int | None = None
    max_delay: float | None = None
    slots: int = 64
    retries: int = 1

    @property
    def label(self) -> str:
        """For people: the name, or how the target is called."""
        return self.name or label_of(self.target)


@dataclass(frozen=True)
class Service:
    """A target that was found, and everything that its workers need."""

    name: str
    inputs: Fields
    outputs: Fields
    max_batch_size: int | None
    max_delay: float
    found: Model

    def make(self) -> Model:
        """The model: a class is instantiated, here is where heavy things are loaded."""
        if not isinstance(self.found, type):
            return self.found
        try:
            model: Any = self.found()
        except (Exception, SystemExit) as error:
            raise remote(self.name, f"{self.found.__qualname__}() raised", error) from None
        if not callable(model) and not hasattr(model, "on_batch"):
            text = f"{self.found.__qualname__} has neither __call__ nor on_batch"
            raise refused(self.name, text, TypeError)
        made: Model = model
        return made


def label_of(target: object) -> str:
    """package.module:Model, of whatever it is."""
    if isinstance(target, str):
        return target
    named: Any = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}:{named.__qualname__}"


def refused(name: str, text: str, kind: type[Exception] = ValueError) -> Exception:
    """A wrong argument of serve()."""
    return said("serve", name, kind(text))


def remote(name: str, what: str, error: BaseException) -> RemoteError:
    """Code of the target raised; its traceback begins in that code, not in ours."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    text = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    made = RemoteError(f'[serve] "{name}": {what}\n{text}')
    made.operation, made.name = "serve", name
    return made


def require_path(target: str) -> tuple[str, list[str]]:
    """The module and the attributes in a target's text."""
    module, colon, path = target.partition(":")
    names = path.split(".")
    if not colon or not all(word.isidentifier() for word in [*module.split("."), *names]):
        raise refused(target, 'a target reads "package.module:Model"')
    return module, names


def find(target: str) -> Any:
    """Imports it. Errors: ValueError (nothing is there), RemoteError (the module raised)."""
    module, names = require_path(target)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise remote(target, f"importing {module} raised", error) from None
        raise refused(
            target,
            f"there is no module {error.name!r}; is its folder the current one, or installed?",
        ) from None
    except (Exception, SystemExit) as error:
        raise remote(target, f"importing {module} raised", error) from None
    for name in names:
        if not hasattr(found, name):
            what = getattr(found, "__name__", None) or type(found).__name__
            raise refused(target, f"{what} has no attribute {name!r}")
        found = getattr(found, name)
    return found


def resolve(plan: Plan) -> Service:
    """Finds the target and asks it for what the plan leaves open. Makes no model."""
    target = plan.target
    found = find(target) if isinstance(target, str) else target
    label = plan.label
    if not callable(found) and not hasattr(found, "on_batch"):
        what = target if isinstance(target, str) else repr(target)
        raise refused(label, f"{what} is not callable, and has no on_batch", TypeError)

    def given(value: Any, attribute: str) -> Any:
        return getattr(found, attribute, None) if value is None else value

    name = given(plan.name, "name")
    inputs, outputs = given(plan.inputs, "inputs"), given(plan.outputs, "outputs")
    for value, what in ((name, "name"), (inputs, "inputs"), (outputs, "outputs")):
        if value is None:
            raise refused(
                label, f"{label_of(target)} has no attribute {what!r}, and no {what}= was given"
            )
    if not isinstance(name, str):
        raise refused(label, f"the name must be a str, got {name!r}", TypeError)
    size = given(plan.max_batch_size, "max_batch_size")
    delay = given(plan.max_delay, "max_delay")
    try:
        size_checked, delay = _batch_wish(
            1 if size is None else size, 0.0 if delay is None else delay
        )
        Worker.footprint(inputs, outputs, slots=plan.slots)  # refuses wrong specs
    except (TypeError, ValueError) as error:
        raise said("serve", name, error) from None
    return Service(name, inputs, outputs, None if size is None else size_checked, delay, found)
