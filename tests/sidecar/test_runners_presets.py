"""Coding agents of others, each played by a stand-in program: how it is called, and what its lines become.

The lines are as the agents' own documentation and sources describe them; none of the agents is run here.
"""

from __future__ import annotations

import json
import platform
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sidecar.runners.command import CommandSettings, command_settings
from sidecar.runners.commands.presets import PRESETS, Preset
from sidecar.runners.contract import Failed, Finished, Order, Outcome, Progress, Stopped, Used
from tests.sidecar.runs import Bench, order
from tests.sidecar.transcripts import CLAUDE, CODEX, GEMINI, Agent, going_on
from tests.waiting import until


def result_of(outcome: Outcome) -> Any:
    assert isinstance(outcome, Finished), outcome
    return json.loads(outcome.result)


def failure_of(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_claude_code_gets_its_prompt_on_standard_input_and_its_lines_are_read(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "claude-code", CLAUDE, own=("--model", "opus"))
    outcome = await agent.run(order("mend it", inputs=b'{"file":"a.py"}'))
    assert result_of(outcome) == {"output": "All done.", "turns": 2, "cost": 0.25}
    (call,) = agent.calls
    assert call["argv"] == ["-p", "--output-format", "stream-json", "--verbose", "--model", "opus"]
    assert call["stdin"] == 'mend it\n\nInputs:\n{"file":"a.py"}'
    assert agent.texts("model") == ["I look first."]
    assert agent.texts("tool") == ["Uses Bash: ls -la", "A tool failed: no such folder"]
    assert agent.texts("agent") == ["Claude Code has begun with opus"]
    assert [(one.tokens_in, one.tokens_out, one.cost) for one in agent.used] == [
        *((100, 5, None), (100, 7, None), (200, 30, 0.25))
    ]
    assert agent.used[-1].model == "opus"
    assert isinstance(outcome, Finished)
    assert outcome.tokens_used == 230
    assert agent.sessions == [{"session": "sess-1", "host": platform.node(), "attempt": 1}]
    percents = [said.progress for said in agent.reports if isinstance(said, Progress) and said.progress]
    assert percents == sorted(percents)
    assert percents[0] == 10
    assert 30 < percents[-1] < 70


async def test_codex_is_told_to_read_its_prompt_and_its_last_message_is_the_result(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "codex", CODEX, own=("--sandbox", "workspace-write"))
    assert result_of(await agent.run(order("mend it"))) == {"output": "Repaired."}
    (call,) = agent.calls
    assert call["argv"] == ["exec", "--json", "--sandbox", "workspace-write", "-"]
    assert call["stdin"] == "mend it"
    assert agent.texts("tool") == ["Runs make", "make ended as failed (2)", "update: a.py"]
    assert agent.texts("model") == ["First thoughts.", "Repaired."]
    assert [(one.tokens_in, one.tokens_out) for one in agent.used] == [(100, 10), (130, 14)]
    assert agent.sessions[0]["session"] == "0199a213-81c0-7800"


async def test_gemini_cli_says_its_answer_in_pieces(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "gemini-cli", GEMINI)
    assert result_of(await agent.run()) == {"output": "It is fine."}
    assert agent.calls[0]["argv"] == ["--output-format", "stream-json"]
    assert agent.texts("model") == ["Let me look.", "It is fine."]
    assert agent.texts("tool") == ["Uses read_file: a.py", "A tool failed: not there"]
    assert agent.used == [Used(tokens_in=40, tokens_out=6)]
    assert agent.sessions[0]["session"] == "a1b2c3d4"


async def test_aider_is_heard_as_text_and_reads_its_message_from_standard_input(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "aider", ["Applied edit to a.py", {"not": "ours"}], own=("a.py",))
    assert result_of(await agent.run(order("mend it")))["output"] == 'Applied edit to a.py\n{"not": "ours"}\n'
    (call,) = agent.calls
    assert call["argv"][-3:] == ["a.py", "--message-file", "/dev/stdin"]
    assert call["stdin"] == "mend it"


async def test_an_agent_of_ones_own_may_print_report_lines(tmp_path: Path) -> None:
    lines = [{"progress": 40, "message": "almost"}, "no JSON", {"result": {"ok": True}}]
    agent = Agent(tmp_path, "jsonl-agent", lines)
    assert result_of(await agent.run()) == {"ok": True}
    assert json.loads(agent.calls[0]["stdin"])["description"] == "say hello"
    assert agent.texts("output") == ["no JSON"]
    assert Progress(progress=40.0, message="almost") in agent.reports


async def test_rules_of_ones_own_come_from_the_configuration(tmp_path: Path) -> None:
    table = {
        "arguments": ["run"],
        "prompt": "argument",
        "rules": [
            {
                "when": {"t": "did"},
                "log": "{what}",
                "kind": "tool",
                "usage": {"tokens_out": ["n"], "adds": True},
            },
            {"when": {"t": ["end", "fin"]}, "result": {"answer": "a.0.text"}},
        ],
    }
    members = {"preset": "jsonl-agent", "argv": ["/bin/agent"], "agent": table}
    (settings,) = command_settings((), {"mine": members})
    lines = [{"t": "did", "what": "this", "n": 2}, {"t": "did", "n": 3}, {"t": "fin", "a": [{"text": "42"}]}]
    agent = Agent(tmp_path, "jsonl-agent", lines, agent=settings.agent)
    assert result_of(await agent.run(order("what is it?"))) == {"answer": "42"}
    (call,) = agent.calls
    assert call["argv"] == ["run", "--", "what is it?"]
    assert call["stdin"] == ""
    assert agent.texts("tool") == ["this"]
    assert agent.used[-1].tokens_out == 5


@pytest.mark.parametrize("preset", PRESETS)
async def test_nothing_of_a_task_enters_a_shell_or_an_option(tmp_path: Path, preset: str) -> None:
    """L35: whatever the text is, it is a prompt, and the vector is what the configuration says."""
    trap = tmp_path / "touched"
    text = f"--dangerously-skip-permissions $(touch {trap}); `touch {trap}`\n{{description:text}}"
    agent = Agent(tmp_path, preset, ["done"])
    await agent.run(order(text))
    (call,) = agent.calls
    assert text in call["stdin"] or json.loads(call["stdin"])["description"] == text
    template = PRESETS[preset].template(("/x",), None)
    assert call["argv"] == list(template[1:])
    assert not trap.exists()


async def test_a_prompt_that_is_an_argument_cannot_be_an_option(tmp_path: Path) -> None:
    """L35"""
    agent = Agent(tmp_path, "jsonl-agent", ["done"], agent=Preset(prompt="argument"))
    failed = failure_of(await agent.run(order("--yolo")))
    assert failed.cause == "setup"
    assert "must not begin with a dash" in failed.error
    assert not (tmp_path / "calls.jsonl").exists()


@pytest.mark.parametrize(
    ("preset", "script", "wanted"),
    [
        ("claude-code", CLAUDE, ["-p", "--output-format", "stream-json", "--verbose", "--resume", "sess-1"]),
        ("codex", CODEX, ["exec", "--json", "resume", "sess-1", "-"]),
        ("gemini-cli", GEMINI, ["--output-format", "stream-json", "--resume", "sess-1"]),
    ],
)
async def test_a_later_attempt_goes_on_with_the_session_of_the_earlier_one(
    tmp_path: Path, preset: str, script: list[Any], wanted: list[str]
) -> None:
    agent = Agent(tmp_path, preset, script, resume=True, cwd=str(tmp_path))
    result_of(await agent.run(going_on()))
    (call,) = agent.calls
    assert call["argv"] == wanted
    assert call["stdin"].startswith("An earlier run of this task was interrupted.")
    assert call["stdin"].endswith("mend it")
    assert call["cwd"] == str(tmp_path)
    assert agent.sessions[0]["attempt"] == 2


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(going_on(host="another-machine"), id="of another machine"),
        pytest.param(going_on(attempt=1, later=3), id="that could not be gone on with"),
        pytest.param(going_on("--dangerous"), id="that looks like an option"),
        pytest.param(going_on("a b"), id="that is no id"),
        pytest.param(order("mend it", done=b'[{"index":0,"output":"a crew\'s"}]'), id="that is none"),
        pytest.param(order("mend it", done=b"nonsense"), id="that cannot be read"),
    ],
)
async def test_a_session_is_not_gone_on_with(tmp_path: Path, later: Order) -> None:
    """L35: and the run begins anew instead."""
    agent = Agent(tmp_path, "claude-code", CLAUDE, resume=True, cwd=str(tmp_path))
    result_of(await agent.run(later))
    assert "--resume" not in agent.calls[0]["argv"]
    assert agent.calls[0]["stdin"] == "mend it"


async def test_without_resume_a_session_is_kept_but_nobody_goes_on_with_it(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "claude-code", CLAUDE)
    result_of(await agent.run(going_on()))
    assert "--resume" not in agent.calls[0]["argv"]
    assert agent.sessions


async def test_an_agent_that_says_it_failed_has_failed_whatever_its_exit_code(tmp_path: Path) -> None:
    """L70"""
    end = {"type": "result", "subtype": "error_max_turns", "is_error": True, "session_id": "sess-1"}
    agent = Agent(tmp_path, "claude-code", [*CLAUDE[:2], end, {"$exit": 0}])
    assert failure_of(await agent.run()).error == "Claude Code: error_max_turns"
    failed = {"type": "turn.failed", "error": {"message": "no quota"}}
    (tmp_path / "codex").mkdir()
    codex = Agent(tmp_path / "codex", "codex", [*CODEX, failed])
    assert failure_of(await codex.run()).error == "Codex: no quota"


async def test_an_agent_without_a_result_has_not_done_its_work(tmp_path: Path) -> None:
    """L70: code 0 alone is no success."""
    agent = Agent(tmp_path, "claude-code", [*CLAUDE[:-1], {"$stderr": "Not logged in"}, {"$exit": 0}])
    failed = failure_of(await agent.run())
    assert "without a result" in failed.error
    assert "Not logged in" in failed.error


async def test_the_last_words_of_an_agent_explain_its_exit_code(tmp_path: Path) -> None:
    """L92"""
    lines = [*CODEX[:2], {"type": "error", "message": "401 Unauthorized"}, {"$exit": 1}]
    failed = failure_of(await Agent(tmp_path, "codex", lines).run())
    assert "exited with code 1" in failed.error
    assert "401 Unauthorized" in failed.error


async def test_an_agent_that_crashes_after_its_session_leaves_it_to_the_next_attempt(tmp_path: Path) -> None:
    agent = Agent(
        tmp_path, "claude-code", [*CLAUDE[:3], {"$signal": 11}], CLAUDE, resume=True, cwd=str(tmp_path)
    )
    assert failure_of(await agent.run(order("mend it"))).cause == "crash"
    (kept,) = agent.sessions
    done = json.dumps([{"index": 0, "output": kept}]).encode()
    again = await agent.run(order("mend it", done=done, attempt=2))
    assert result_of(again)["output"] == "All done."
    assert agent.calls[1]["argv"][-2:] == ["--resume", "sess-1"]


async def test_an_agent_that_hangs_is_stopped_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "claude-code", [*CLAUDE[:2], {"$hang": 600}])

    async def meanwhile(bench: Bench) -> None:
        await until(lambda: bench.texts("model"), "the agent has spoken")
        bench.stop.set("cancel", 5_000)

    outcome = await agent.run_while(meanwhile)
    assert isinstance(outcome, Stopped)
    assert outcome.proof.survivors == 0
    assert not agent.left()


async def test_an_agent_is_given_its_own_keys_and_no_others(tmp_path: Path) -> None:
    """L40"""
    (settings,) = command_settings((), {"fix": {"preset": "claude-code", "argv": ["/x/claude"]}})
    assert "ANTHROPIC_API_KEY" in settings.environment
    assert "OPENAI_API_KEY" not in settings.environment
    listed = {"preset": "claude-code", "argv": ["/x/claude"], "environment": ["PATH"]}
    (settings,) = command_settings((), {"fix": listed})
    assert settings.environment == ("PATH",)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"preset": "nobody"}, "there is no preset 'nobody'; there are claude-code"),
        ({"resume": True}, "need a preset"),
        ({"preset": "claude-code", "resume": True}, "cwd"),
        ({"preset": "aider", "resume": True, "cwd": "/"}, "can go on with a session"),
        ({"preset": "codex", "agent": {}}, "codex has its own"),
        ({"preset": "codex", "argv": ["/x", "--", "y"]}, 'no "--"'),
        ({"preset": "codex", "argv": ["/x", "{description:text}"]}, 'behind a "--"'),
        ({"preset": "jsonl-agent", "agent": {"resume": ["--go-on"]}}, "{session}"),
        ({"preset": "jsonl-agent", "agent": {"arguments": ["--"]}}, '"--"'),
        ({"preset": "jsonl-agent", "agent": {"environment": ["HUB_TOKEN"]}}, "belongs to the sidecar"),
        ({"preset": "jsonl-agent", "agent": {"rules": [{"when": {"a b": 1}}]}}, "'a b' is no path"),
        ({"preset": "jsonl-agent", "agent": {"rules": [{"log": "{a..b}"}]}}, "'a..b' is no path"),
        ({"preset": "jsonl-agent", "agent": {"rules": [{"say": "x"}]}}, "unknown field `say`"),
        ({"preset": "jsonl-agent", "agent": {"rules": [{}] * 65}}, "at most 64 rules"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="command fix") as caught:
        command_settings((), {"fix": {"argv": ["/x/agent"], **members}})
    assert sentence in str(caught.value)


def test_the_examples_of_the_page_are_configurations_that_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-runner.md").read_text()
    tables = [tomllib.loads(found) for found in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    found = [one for table in tables for one in command_settings(table.get("command", ()), table["commands"])]
    assert [one.preset for one in found] == [None, None, "claude-code", "jsonl-agent"]
    assert all(f"`{name}`" in page for name in PRESETS)
    assert all(f"`{key}`" in page for preset in PRESETS.values() for key in preset.environment)


def test_every_preset_makes_settings_that_hold() -> None:
    for name in PRESETS:
        assert CommandSettings(argv=("/x/agent",), preset=name).used is PRESETS[name]
