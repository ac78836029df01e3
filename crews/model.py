"""The models of a run: built from the order's credentials, and one instance for each agent.

Owns which model it is, and that nobody shares one: crewai counts the tokens of a shared model once for each
agent. The name `offline` is the model that plays the plugin's script. Never stores or prints a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from crewai import LLM, Crew

from crews import script
from crews.offline import OfflineModel
from crews.order import Order
from crews.wording import causes

OFFLINE: Final = "offline"
SCRIPT: Final = "offline.yaml"

OF_THE_CREW: Final = {
    "manager_llm": "Crew Manager",
    "planning_llm": "Task Execution Planner",
    "function_calling_llm": "",
    "chat_llm": "",
}
"""Models of the crew itself, with the role that crewai gives to whoever uses one."""

NO_MODEL: Final = (
    "no model is configured: name one with the sidecar's setting `model` (SIDECAR_MODEL), or for one run "
    "without a hub with the input `_llm_model`"
)


NO_KEY: Final = (
    "no key for the model {model}: give one as the sidecar's setting `model_key` (SIDECAR_MODEL_KEY), or for "
    "one run without a hub with the input `_llm_api_key`"
)

_OF_A_KEY: Final = re.compile(r"[A-Z]_API_KEY\b|\bapi[ _-]key\b", re.IGNORECASE)
_OF_A_MODEL: Final = re.compile(rf"{_OF_A_KEY.pattern}|\bmodel\b|\bllm\b", re.IGNORECASE)


class Models:
    """The model that a plugin is given, and a copy of it for everybody who holds that one."""

    def __init__(self, build: Callable[[str], Any]) -> None:
        self._build = build
        self.given = build("")

    def part(self, crew: Crew) -> None:
        """After this no two of the crew's agents share the model that was given."""
        for agent in agents_of(crew):
            for name in ("llm", "function_calling_llm"):
                if getattr(agent, name, None) is self.given:
                    setattr(agent, name, self._build(str(agent.role).strip()))
        for name, role in OF_THE_CREW.items():
            if getattr(crew, name, None) is self.given:
                setattr(crew, name, self._build(role))
        if crew.planning and crew.planning_llm is None:
            crew.planning_llm = self._build(OF_THE_CREW["planning_llm"])


def agents_of(crew: Crew) -> Iterator[Any]:
    """Everybody who works in the crew, each once."""
    everybody = [*crew.agents, crew.manager_agent, *(task.agent for task in crew.tasks)]
    yield from {id(agent): agent for agent in everybody if agent is not None}.values()


def models_for(order: Order, folder: Path) -> Models | None:
    """The models of this order; None when nothing names one, and then the plugin must bring its own."""
    name = order.keys.get("llm_model")
    if not name:
        return None
    if name == OFFLINE:
        played = script.load(script_of(order, folder))
        return Models(lambda role: OfflineModel(role, played, attempt=order.attempt))
    return Models(provider(order.keys))


def provider(keys: Mapping[str, Any]) -> Callable[[str], Any]:
    """Builds a provider's model, streaming; an absent key or address is not passed at all."""
    members = {"api_key": keys.get("llm_api_key"), "base_url": keys.get("llm_base_url")}
    given = {member: value for member, value in members.items() if value}
    return lambda _: LLM(model=str(keys["llm_model"]), stream=True, **given)


def missing_in(order: Order, trouble: BaseException) -> str:
    """What the order lacked, if that is why a model could not be built or called; else empty."""
    told = " ".join(str(cause) for cause in causes(trouble))
    model = order.keys.get("llm_model")
    if not model:
        return NO_MODEL if _OF_A_MODEL.search(told) else ""
    is_key = not order.keys.get("llm_api_key") and _OF_A_KEY.search(told)
    return NO_KEY.format(model=model) if is_key else ""


def script_of(order: Order, folder: Path) -> Path | Mapping[str, Any]:
    """The plugin's own script, unless the task brings one."""
    own = order.metadata.get(OFFLINE) if isinstance(order.metadata, dict) else None
    if isinstance(own, dict):
        return own
    place = folder / SCRIPT
    if not place.is_file():
        raise script.BadScript(f"the plugin has no {SCRIPT}, which the model `{OFFLINE}` plays")
    return place
