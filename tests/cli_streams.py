"""What command-line agents print: recorded from the real ones where they could be run, else as their manuals have it."""

import json
from typing import Any

Events = list[dict[str, Any] | str]

_CLAUDE_INIT = {"type": "system", "subtype": "init", "cwd": "/w", "session_id": "7ed9eac8-eeec", "tools": ["Bash", "Edit"],
                "mcp_servers": [], "model": "claude-opus-5-5", "permissionMode": "acceptEdits", "apiKeySource": "none"}  # fmt: skip
_CLAUDE_TOOL = {"type": "assistant", "parent_tool_use_id": None, "session_id": "7ed9eac8-eeec",
                "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                            "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash",
                                         "input": {"command": "echo hi > made.txt", "description": "make"}}],
                            "usage": {"input_tokens": 100, "output_tokens": 10}}}  # fmt: skip
_CLAUDE_DONE = {"type": "user", "session_id": "7ed9eac8-eeec", "tool_use_result": {"stdout": ""},
                "message": {"role": "user", "content": [{"tool_use_id": "toolu_1", "type": "tool_result",
                                                         "content": "(Bash completed with no output)", "is_error": False}]}}  # fmt: skip
_CLAUDE_TEXT = {"type": "assistant", "session_id": "7ed9eac8-eeec", "message": {
    "id": "msg_2", "role": "assistant", "content": [{"type": "text", "text": "Story done."}],
    "usage": {"input_tokens": 120, "output_tokens": 17}}}  # fmt: skip
_CLAUDE_END = {"type": "result", "subtype": "success", "is_error": False, "session_id": "7ed9eac8-eeec",
               "result": "Story done.", "total_cost_usd": 0.00142, "num_turns": 2, "api_error_status": None,
               "usage": {"input_tokens": 220, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                         "output_tokens": 27}}  # fmt: skip


def _claude_error(text: str, status: int, kind: str) -> Events:
    """Recorded with 429 and 401 from the server; the exit code was 1."""
    return [
        {"type": "assistant", "session_id": "7ed9eac8-eeec", "error": kind.removesuffix("_error"),
         "is_api_error_message": True, "api_error_status": status, "api_error_type": kind,
         "message": {"id": "x", "role": "assistant", "model": "<synthetic>", "content": [{"type": "text", "text": text}],
                     "usage": {"input_tokens": 0, "output_tokens": 0}}},
        {"type": "result", "subtype": "success", "is_error": True, "session_id": "7ed9eac8-eeec", "result": text,
         "api_error_status": status, "api_error_type": kind, "total_cost_usd": 0, "num_turns": 1,
         "usage": {"input_tokens": 0, "output_tokens": 0}},
    ]  # fmt: skip


def _qwen_error(status: int, kind: str, message: str) -> Events:
    """Recorded with 401: a success in every field and in the exit code, but for the text."""
    said = json.dumps({"type": "error", "error": {"type": kind, "message": message}})
    text = f"[API Error: {status} {said}]"
    return [
        {**_CLAUDE_TEXT, "session_id": "8742", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}},
        {**_CLAUDE_END, "session_id": "8742", "result": text},
    ]  # fmt: skip


_CLAUDE_LIMIT: Events = [
    _CLAUDE_INIT,
    {"type": "rate_limit_event", "session_id": "7ed9eac8-eeec",
     "rate_limit_info": {"status": "rejected", "resetsAt": 1795300000, "rateLimitType": "five_hour"}},
    *_claude_error("You've hit your limit · resets 3pm (UTC)", 429, "rate_limit_error"),
]  # fmt: skip


def _open_step(number: int, reason: str, sent: int, received: int, cost: float) -> dict[str, Any]:
    return {"type": "step_finish", "sessionID": "ses_e011", "part": {
        "id": f"prt_{number}", "reason": reason, "type": "step-finish", "cost": cost, "tokens": {
            "total": sent + received, "input": sent, "output": received, "reasoning": 0,
            "cache": {"write": 0, "read": 0}}}}  # fmt: skip


def _open_error(message: str, status: int, **headers: str) -> Events:
    return [
        {"type": "error", "sessionID": "ses_e011", "error": {"name": "APIError", "data": {
            "message": message, "statusCode": status, "isRetryable": False, "responseHeaders": headers}}}
    ]  # fmt: skip


GOOD: dict[str, Events] = {
    "claude": [_CLAUDE_INIT, _CLAUDE_TOOL, _CLAUDE_DONE, _CLAUDE_TEXT, _CLAUDE_END],
    "codex": [
        {"type": "thread.started", "thread_id": "01a1fee6-21ac"},
        {"type": "turn.started"},
        {"type": "error", "message": "Reconnecting... 2/5 (stream disconnected before completion)"},
        {"type": "item.started", "item": {"id": "item_0", "type": "command_execution",
                                          "command": "bash -lc 'echo hi > made.txt'", "status": "in_progress"}},
        {"type": "item.completed", "item": {"id": "item_1", "type": "file_change", "status": "completed",
                                            "changes": [{"path": "made.txt", "kind": "add"}]}},
        {"type": "item.completed", "item": {"id": "item_2", "type": "agent_message", "text": "Story done."}},
        {"type": "turn.completed", "usage": {"input_tokens": 220, "cached_input_tokens": 100, "output_tokens": 27}},
    ],
    "opencode": [
        {"type": "step_start", "sessionID": "ses_e011", "part": {"id": "prt_0", "type": "step-start"}},
        {"type": "tool_use", "sessionID": "ses_e011", "part": {"type": "tool", "tool": "bash", "callID": "toolu_1", "state": {
            "status": "completed", "input": {"command": "echo hi > made.txt"}, "output": ""}}},
        _open_step(1, "tool-calls", 100, 10, 0.00045),
        {"type": "text", "sessionID": "ses_e011", "part": {"id": "prt_2", "type": "text", "text": "Story done."}},
        _open_step(3, "stop", 120, 17, 0.00097),
    ],
    "gemini": [
        {"type": "init", "session_id": "2b64a7dd", "model": "gemini-3-pro"},
        {"type": "message", "role": "user", "content": "…"},
        {"type": "tool_use", "tool_name": "run_shell_command", "tool_id": "t1",
         "parameters": {"command": "echo hi > made.txt"}},
        {"type": "tool_result", "tool_id": "t1", "status": "success", "output": ""},
        {"type": "message", "role": "assistant", "content": "Story ", "delta": True},
        {"type": "message", "role": "assistant", "content": "done.", "delta": True},
        {"type": "result", "status": "success", "stats": {"total_tokens": 247, "input_tokens": 220,
                                                          "output_tokens": 27, "tool_calls": 1}},
    ],
    "cursor-agent": [
        {"type": "system", "subtype": "init", "session_id": "c-1", "model": "auto", "apiKeySource": "login"},
        {"type": "tool_call", "subtype": "started", "call_id": "t", "session_id": "c-1",
         "tool_call": {"shellToolCall": {"args": {"command": "echo hi > made.txt"}}}},
        {"type": "assistant", "session_id": "c-1",
         "message": {"role": "assistant", "content": [{"type": "text", "text": "Story done."}]}},
        {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 5, "result": "Story done.",
         "session_id": "c-1", "request_id": "r", "usage": {"inputTokens": 220, "outputTokens": 27}},
    ],
    "amp": [
        {"type": "system", "subtype": "init", "cwd": "/w", "session_id": "T-1", "tools": ["Bash"], "mcp_servers": []},
        {"type": "assistant", "session_id": "T-1", "message": {
            "role": "assistant", "content": [{"type": "text", "text": "Story done."}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 20, "cache_read_input_tokens": 200, "output_tokens": 27}}},
        {"type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "Story done.",
         "session_id": "T-1"},
    ],
    "aider": [
        "Aider v0.86.2", "Model: anthropic/claude-sonnet-5-5 with diff edit format", "",
        "Applied edit to made.txt", "Story done.", "Tokens: 220 sent, 27 received. Cost: $0.0014 message, $0.0014 session.",
    ],
    "goose": [
        {"type": "message", "message": {"role": "assistant", "created": 1, "content": [
            {"type": "toolRequest", "id": "t", "toolCall": {"status": "success", "value": {
                "name": "developer__shell", "arguments": {"command": "echo hi > made.txt"}}}}]}},
        {"type": "notification", "extension_id": "developer", "log": {"message": "hi"}},
        {"type": "message", "message": {"role": "assistant", "created": 2,
                                        "content": [{"type": "text", "text": "Story done."}]}},
        {"type": "complete", "total_tokens": 247, "input_tokens": 220, "output_tokens": 27, "cost_usd": 0.00142},
    ],
    "copilot": [
        {"type": "tool.execution_start", "data": {"toolName": "bash", "arguments": {"command": "echo hi > made.txt"}}},
        {"type": "assistant.message", "data": {"messageId": "m", "content": "Story done."}},
        {"type": "assistant.usage", "data": {"model": "claude-sonnet-4.5", "inputTokens": 220, "outputTokens": 27}},
        {"type": "result", "sessionId": "s-1", "exitCode": 0, "usage": {"premiumRequests": 1}},
    ],
    "qwen": [{**_CLAUDE_INIT, "session_id": "8742"}, {**_CLAUDE_TEXT, "session_id": "8742"},
             {**_CLAUDE_END, "session_id": "8742", "total_cost_usd": None}],
}  # fmt: skip

SESSIONS = {"claude": "7ed9eac8-eeec", "codex": "01a1fee6-21ac", "opencode": "ses_e011", "gemini": "2b64a7dd",
            "cursor-agent": "c-1", "amp": "T-1", "aider": "", "goose": "", "copilot": "s-1", "qwen": "8742"}  # fmt: skip

LIMITED: dict[str, tuple[int, Events]] = {
    "claude": (1, _CLAUDE_LIMIT),
    "codex": (1, [
        {"type": "thread.started", "thread_id": "t"},
        {"type": "turn.failed", "error": {"message": "You've hit your usage limit. Try again in 2 hours 5 minutes."}}]),
    "opencode": (1, _open_error("slow down", 429, **{"retry-after": "120"})),
    "gemini": (1, [
        {"type": "init", "session_id": "s", "model": "auto"},
        {"type": "result", "status": "error", "error": {
            "type": "TerminalQuotaError", "message": "You have exhausted your quota. It will reset after 18h31m10s."}}]),
    "cursor-agent": (1, ["ActionRequiredError: You've hit your usage limit. It resets in 3 days."]),
    "amp": (1, [{"type": "result", "subtype": "error_during_execution", "is_error": True, "session_id": "T-1",
                 "error": "Insufficient credits. Try again in 30 minutes"}]),
    "aider": (0, ["litellm.RateLimitError: AnthropicException - rate limit exceeded, try again in 60 seconds"]),
    "goose": (1, [{"type": "error", "error": "Rate limit exceeded: retry after 90 seconds"}]),
    "copilot": (1, [{"type": "session.error", "data": {
        "errorType": "rate_limit", "statusCode": 429, "message": "Sorry, you've hit a rate limit. Please try again in 2 hours"}}]),
    "qwen": (0, _qwen_error(429, "rate_limit_error", "quota exceeded, retry in 45s")),
}  # fmt: skip

LOGGED_OUT: dict[str, tuple[int, Events]] = {
    "claude": (1, _claude_error("Not logged in · Please run /login", 401, "authentication_error")),
    "codex": (1, [{"type": "turn.failed", "error": {
        "message": "unexpected status 401 Unauthorized: Missing bearer or basic authentication in header"}}]),
    "opencode": (1, _open_error("invalid x-api-key", 401)),
    "gemini": (41, ["Please set an Auth method in your settings.json or specify one of GEMINI_API_KEY"]),
    "cursor-agent": (1, ["Error: Authentication required. Please run 'agent login' first, or set CURSOR_API_KEY"]),
    "amp": (1, ["No API key found. Starting login flow...", "Login failed: That code looks incomplete."]),
    "aider": (0, ["litellm.AuthenticationError: AnthropicException - invalid x-api-key"]),
    "goose": (1, [{"type": "error", "error": "Authentication failed: 401 Unauthorized"}]),
    "copilot": (1, ["Error: No authentication information found."]),
    "qwen": (0, _qwen_error(401, "authentication_error", "invalid x-api-key")),
}  # fmt: skip


def text_of(events: Events) -> str:
    """As it comes out of the pipe."""
    return "".join(
        f"{event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n" for event in events
    )
