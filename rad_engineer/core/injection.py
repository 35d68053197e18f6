"""What in a text is probably meant for an agent, not for its reader: known phrases, and ways to hide them.

A heuristic: it finds what is said plainly, and some of what is disguised. It stops nobody who tries hard; what holds then
is that no text can end a story, judge it, or reach anything outside of its box.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WARN = 4
"""From which score on a text is told of, unless a project says otherwise."""

_SHOWN = 120
_LONGEST = 400_000  # characters that are looked through


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for: `weight` is what it adds to the score, once; `says` is what is meant by it."""

    id: str
    weight: int
    says: str
    pattern: str
    marks: tuple[str, ...] = ()  # one of them is in every text that the pattern finds,
    also: tuple[str, ...] = ()  # and one of these


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a text hits, and where first."""

    rule: str
    weight: int
    line: int
    says: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.line}: {self.says}: {self.excerpt} [{self.rule} {self.weight}]"


_PAST = r"(?:previous|prior|above|earlier|preceding|foregoing|former|initial|original|existing|system|developer|safety)"
_ORDERS = r"(?:instructions?|prompts?|rules|directives?|guidelines|commands|restrictions|orders|constraints)"
_AI = r"(?:ai|a\.i\.|llm|language model|assistant|agent|chatbot|claude|gpt|chatgpt|copilot|codex|gemini)"
_TOLD = r"(?:print|reveal|show|output|repeat|display|tell me|echo|leak|dump|write|include|recite|copy)"
_CONFIDED = r"(?:print|reveal|show|output|repeat|tell me|echo|leak|dump|recite|disclose)"
_KEYS = r"(?:secrets?|credentials?|api[ _-]?keys?|private keys?|passwords?|access tokens?|environment variables?|\.env|ssh keys?|id_rsa|\.aws)"

RULES: tuple[Rule, ...] = (
    Rule("override", 6, "asks to put other instructions aside",
         rf"\b(?:ignore|disregard|forget|override|bypass|neglect|skip|drop|set aside|do not (?:follow|obey))\b[^.\n]{{0,40}}\b(?:{_PAST}\b[^.\n]{{0,30}}\b{_ORDERS}|(?:your|the system'?s?|all(?: of)?(?: the)?(?: your)?) {_ORDERS} (?:above|before|so far|given)|everything (?:above|before|you (?:were|have been) told))",
         ("ignore", "disregard", "forget", "override", "bypass", "neglect", "skip", "drop", "set aside", "not follow", "not obey"),
         ("instruction", "prompt", "rules", "directive", "guideline", "command", "restriction", "orders", "constraint", "everything")),
    Rule("override-language", 6, "asks to put other instructions aside, in another language than English",
         r"(?:ignoriere?|vergiss|missachte)\w* [^.\n]{0,40}(?:anweisung|vorgabe|instruktion|regeln)|(?:ignore[zr]?|oublie[zr]?) [^.\n]{0,30}(?:instructions|consignes|directives) (?:pr[eé]c[eé]dentes|ant[eé]rieures|ci-dessus)|(?:ignora|olvida|omite)\w* [^.\n]{0,30}(?:instrucciones|[oó]rdenes|reglas|istruzioni)|ignor[ae]\w* [^.\n]{0,30}(?:instru[cç][oõ]es|regras)|(?:ignora|dimentica)\w* [^.\n]{0,30}(?:istruzioni|regole)|(?:negeer|vergeet) [^.\n]{0,30}(?:instructies|opdrachten|regels)|(?:игнорируй|проигнорируй|забудь|забудьте|игнорируйте)\w* [^.\n]{0,40}(?:инструкци|указани|правил)|(?:忽略|无视|忘记|無視|忽視|忘掉)[^。\n]{0,12}(?:指令|指示|说明|規則|规则|提示)|(?:指示|命令|指令)[^。\n]{0,8}(?:無視|忘れ)|(?:지시|명령|지침)[^.\n]{0,10}(?:무시|잊)|(?:zignoruj|pomi[nń]|zapomnij)\w* [^.\n]{0,30}(?:instrukcj|polece[nń]|zasad)|[oö]nceki [^.\n]{0,20}talimat\w* [^.\n]{0,20}(?:yok say|unut|g[oö]rmezden)|(?:تجاهل|انس)\s[^.\n]{0,30}(?:تعليمات|التعليمات|الأوامر)|(?:निर्देशों|आदेशों)[^.\n]{0,20}(?:अनदेखा|भूल|नज़रअंदाज़)",
         ("ignor", "vergiss", "missacht", "oublie", "olvid", "omit", "dimentic", "negeer", "vergeet", "игнор", "забуд", "忽", "无视", "無視", "忘", "무시", "잊", "pomi", "zapomn", "talimat", "تجاهل", "انس", "निर्देशों", "आदेशों"),
         ("anweis", "vorgab", "instru", "regel", "consigne", "directive", "rdenes", "reglas", "istruz", "regole", "regras", "opdracht", "инструкц", "указан", "правил", "指", "说明", "規", "规", "提示", "命令", "지", "명령", "polece", "zasad", "talimat", "تعليمات", "الأوامر", "निर्देशों", "आदेशों")),
    Rule("new-orders", 4, "gives an agent other orders",
         r"\b(?:new|updated|real|actual|true|secret|hidden) (?:system )?(?:instructions?|orders|directives?|objective)\s*(?:[:=]|are\b|is\b|follow)|\byour (?:new|real|actual|true|only|sole) (?:task|goal|job|objective|purpose|mission|instructions?) (?:is|are)\b|\bfrom now on,? you (?:are|will|must|shall|should)\b|\binstead,? (?:you must|do only this)",
         ("instruction", "orders", "directive", "objective", "your ", "from now on", "instead")),
    Rule("role", 5, "pretends to come from the system, or from another turn of the conversation",
         r"<\|(?:im_start|im_end|system|assistant|user|endoftext|eot_id|start_header_id)\|>|\[/inst\]|<</?sys>>|</?(?:system|assistant|developer)(?:[_-](?:prompt|message|instructions?|note|override))?>|^\s*(?:#+ *|\*\*|\[|={2,} *|-{2,} *)?(?:system|developer|admin(?:istrator)?|root|operator|maintainer|orchestrator|rad-engineer)\b[ _-]*(?:message|prompt|note|notice|override|instructions?|mode|alert|update)\]?\W{0,4}[:=\]>]|\n\n(?:human|assistant): ",
         ("<", "[/inst", "system", "developer", "admin", "root", "operator", "maintainer", "orchestrator", "rad-engineer", "human:", "assistant:")),
    Rule("persona", 4, "gives an agent another part to play",
         rf"\byou are (?:now |no longer |henceforth )(?:in )?(?:an? |the |bound |restricted |dan\b|{_AI}|developer mode|debug mode|admin|root|maintenance mode|unrestricted|free (?:of|from))|\b(?:developer|god|dan|jailbreak|maintenance|unrestricted|sudo) mode (?:is )?(?:now )?(?:enabled|activated|on\b|engaged)|\b(?:act|behave|pretend|respond) as (?:if you (?:were|are)|dan\b|an? (?:unrestricted|unfiltered|evil|jailbroken))|\bpretend (?:that )?you(?:'re| are)\b",
         ("you", "mode", "act as", "pretend", "behave", "respond as")),
    Rule("to-agents", 3, "speaks to agents, not to readers",
         r"\b(?:dear|attention|attn|note (?:to|for)|notice to|hey|hello|message (?:to|for)|instructions? (?:to|for)|important for)(?: all| any| the| every)?:? (?:ai|llm|language model|coding|autonomous)[ -]?(?:assistants?|agents?|models?|bots?|systems?|reviewers?)?\b|\bif you(?:'re| are) (?:an? |the )?(?:ai|llm|large language model|language model|coding agent|autonomous agent|ai (?:agent|assistant))\b|\b(?:any|every|all) (?:ai|llm|coding|autonomous) (?:agents?|assistants?|models?) (?:must|should|shall|reading|processing|that reads?)",
         ("ai", "llm", "language model", "agent", "assistant")),
    Rule("fence", 6, "imitates the marks around text of others",
         r"<\s*[/\\]?\s*untrusted\b|\brad-done-|\bend of (?:the )?(?:untrusted|user|quoted|fenced) (?:text|input|data|content|section)|</(?:document|context|user_input|user_data|tool_result|function_results|data|external_content)>\s*(?:\n|$)[^\n]{0,80}\b(?:now|you|system|instruction)",
         ("untrusted", "rad-done", "end of", "</")),
    Rule("exfiltration", 5, "asks to send out what is secret",
         rf"\b(?:send|post|upload|exfiltrate|leak|forward|transmit|e-?mail|submit|deliver|copy|append|push)\b[^.\n]{{0,60}}\b(?:{_KEYS}|file contents|source code|system prompt|conversation|repository contents|whole repo)\b[^.\n]{{0,60}}(?:https?://|\bto (?:our |this |my |the )?(?:\w+ )?(?:server|webhook|endpoint|url|address|attacker|collector)|@[\w-]+\.)|!\[[^\]\n]{{0,80}}\]\(https?://[^)\s]{{0,200}}[?&]\w+=[^)\s]{{0,40}}(?:\{{|\$|secret|token|<)",
         ("http", "server", "webhook", "endpoint", "url", "address", "attacker", "collector", "@")),
    Rule("secret-command", 5, "a command that sends out files or the environment",
         r"\b(?:curl|wget|nc|ncat)\b[^\n]{0,200}(?:-d|--data\S*|-f|-t|--upload-file|--post-file|<)[ =]?[^\n]{0,80}(?:\.env\b|id_rsa|\.ssh|\.aws|/etc/(?:passwd|shadow)|\$\(|`|printenv|\.netrc|\.npmrc|\.git-credentials|@/)|(?:cat|env|printenv|tar|base64)\b[^\n|]{0,120}\|[^\n]{0,60}\b(?:curl|nc|ncat|wget|telnet)\b",
         ("curl", "wget", "nc ", "ncat", "telnet")),
    Rule("command", 4, "a command that runs what nobody has read, opens a way out, or destroys files",
         r"base64 (?:-d|--decode)[^\n]{0,40}\|\s*(?:sudo )?(?:ba|z|da)?sh\b|/dev/tcp/|\bnc(?:at)? [^\n]{0,40}-e\b|\brm -(?:rf|fr) (?:--no-preserve-root )?(?:/|~|\$home)(?:\s|[`'\"*]|$)|:\(\)\s*\{\s*:\|:&\s*\};|\bmkfifo [^\n]{0,80}\bnc\b|\bchmod (?:u\+s|[24][0-7]{3})|>>? ?~?/?[\w./]*(?:authorized_keys|\.bashrc|\.profile|crontab)\b|\bgit push [^\n]{0,60}--force\b[^\n]{0,30}\bmain\b",
         ("base64", "/dev/tcp", "nc ", "ncat", "rm -", ":()", "mkfifo", "chmod", "authorized_keys", "bashrc", ".profile", "crontab", "git push")),
    Rule("run-this", 2, "tells an agent to run a command before all else, or without asking",
         r"\b(?:first|before (?:you (?:start|begin|continue|do)|anything|all)|immediately|now|silently|quietly|you must),? (?:please )?(?:run|execute|eval(?:uate)?|call|invoke|use (?:the )?(?:bash|shell|terminal))\b|\b(?:run|execute) (?:the following|this|these)(?: \w+)? commands? (?:immediately|now|first|silently|without)|\b(?:without|do not|don'?t) (?:ask(?:ing)?|wait(?:ing)?) (?:for )?(?:the user|permission|confirmation|approval|anyone)",
         ("run", "exec", "eval", "call", "invoke", "use ", "ask", "wait")),
    Rule("tampering", 5, "asks to make checks green without meeting them",
         r"\b(?:delete|remove|skip|disable|comment out|weaken|bypass|empty|edit|modify|change|rewrite|stub|overwrite|replace)\b[^.\n]{0,40}\b(?:tests?|assertions?|gates?|checks?|checkers?|ci|hooks?|test suite|verification|check\.sh)\b[^.\n]{0,40}\b(?:so (?:that )?(?:it|they|everything|the)\b[^.\n]{0,20}\b(?:pass|green|succeed)|to (?:always )?(?:pass|succeed|exit 0|return (?:0|true))|(?:always|just) (?:pass|succeed|return|exit)|instead of fixing|with (?:exit 0|true|pass)\b)|\bmake\b[^.\n]{0,30}\b(?:tests?|gates?|checks?|check\.sh)\b[^.\n]{0,15}\b(?:always|just|exit 0|return true)\b",
         ("test", "assert", "gate", "check", "ci", "hook", "verif")),
    Rule("weaker-checks", 2, "speaks of taking tests or checks away",
         r"\b(?:delete|skip|disable|comment out|bypass) (?:all |the |any |every |failing |existing |these |of |protected )*(?:tests?|assertions?|gates?|checks|safety|verification|policy|sandbox)\b|--no-verify\b",
         ("test", "assert", "gate", "check", "safety", "verif", "policy", "sandbox")),
    Rule("secrets", 5, "asks an agent for what it was told in confidence",
         rf"\b{_CONFIDED}\b[^.\n]{{0,40}}\b(?:(?:your|the|full|entire|whole) system prompt|your (?:full |entire |own )?(?:prompt|instructions)|hidden (?:prompt|instructions?|rules)|(?:initial|original|above) (?:prompt|instructions)|completion token|(?:the|your|this|run'?s?) nonce|nonce of|everything above|your (?:{_KEYS}))\b",
         ("prompt", "instructions", "token", "nonce", "everything above", "your ")),
    Rule("keys", 2, "names keys and where they lie",
         rf"\b(?:{_TOLD}|read|cat|open|find|collect|gather|search for|grep)\b[^.\n]{{0,40}}(?:~/\.ssh|id_rsa|\.aws/credentials|/etc/shadow|\.git-credentials|\.netrc|\$(?:\{{)?[a-z_]*(?:api_key|secret|token)\b)",
         ("ssh", "id_rsa", ".aws", "shadow", "credentials", "netrc", "$")),
    Rule("false-end", 4, "tells an agent that it has finished",
         r"\b(?:this|the|your|all|every)(?: of the)? (?:stor(?:y|ies)|tasks?|work|job|criteria|checks|gates) (?:is|are|has|have)(?: been)? (?:already )?(?:done|complete[d]?|finished|passed|met|approved|verified|green)[^\n]{0,60}\b(?:just|only|simply|call|print|say|reply|output|stop|exit|end|report|no (?:further|more) (?:work|changes))\b|\b(?:call|use|invoke) (?:the )?`?report`?(?: tool)? (?:now|immediately|at once|with)\b|\b(?:just|simply|only|immediately) (?:print|say|reply|output|return|answer|report)(?: with)?:? [\"'`<]*(?:<promise>|complete|done|status.{0,6}done)|\bmark (?:this|all|every|the) (?:stor(?:y|ies)|tasks?) (?:as )?(?:passed|done|complete)[^.\n]{0,20}\b(?:without|immediately|now)\b",
         ("stor", "task", "work", "job", "criteria", "check", "gate", "report", "print", "say", "reply", "output", "return", "answer")),
    Rule("secrecy", 4, "asks an agent to keep something from people",
         r"\b(?:do not|don'?t|never|without) (?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|reveal(?:ing)?|report(?:ing)?|disclos(?:e|ing)|alert(?:ing)?|notify(?:ing)?|show(?:ing)?)\b[^.\n]{0,40}\b(?:the user|the reviewer|the human|the operator|the maintainers?|the owner|anyone|anybody|in (?:your|the) (?:report|summary|answer))\b",
         ("tell", "mention", "inform", "reveal", "report", "disclos", "alert", "notify", "show")),
)  # fmt: skip

_COMPILED = {rule.id: re.compile(rule.pattern, re.MULTILINE) for rule in RULES}
_BY_ID = {rule.id: rule for rule in RULES}
_ZERO = re.compile("[\u200b\u2060-\u2064\u00ad\ufeff\u180e]")
_INSIDE = re.compile("(?<=[A-Za-z])[\u200b-\u200d\u2060-\u2064\u00ad\ufeff]+(?=[A-Za-z])")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAGS = re.compile("[\U000e0020-\U000e007e\U000e0100-\U000e01ef]{2,}")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]+")
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)|<[a-z]+[^>\n]*style=[\"'][^\"'\n]*(?:display: ?none|font-size: ?0|color: ?(?:white|transparent))[^>\n]*>(.*?)</|\[//\]: # \((.*?)\)", re.IGNORECASE | re.DOTALL)  # fmt: skip
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{24,8000}={0,2}(?![A-Za-z0-9+/=_-])")
_HEX = re.compile(r"(?<![0-9a-f])(?:(?:\\x|%|0x)?[0-9a-f]{2}[ ,]?){20,4000}", re.IGNORECASE)
_ENTITIES = re.compile(r"(?:&#x?[0-9a-f]{1,6};){8,}", re.IGNORECASE)
_SPACED = re.compile(r"(?:\b\w[ ._*-]){7,}\w\b")
_MIXED = re.compile(
    r"\b(?=\w*[a-zA-Z])(?=\w*[\u0370-\u03ff\u0400-\u04ff])[a-zA-Z\u0370-\u03ff\u0400-\u04ff]{4,}\b"
)
_LOOKS = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅαεορυχικντΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwABEKMHOPCTYXIJSaeopuxikvtABEZHIKMNOPTYX",
)
_LEET = str.maketrans("013457@$|", "oieastasi")


def look(text: str) -> tuple[Finding, ...]:
    """What speaks to agents in a text, what weighs most first."""
    return tuple(_best(_all(text[:_LONGEST])))


def score(findings: Iterable[Finding]) -> int:
    """How much speaks for it that somebody wants to steer an agent."""
    return sum(finding.weight for finding in findings)


def _best(findings: Iterable[Finding]) -> list[Finding]:
    found: dict[str, Finding] = {}
    for one in findings:
        found.setdefault(one.rule, one)
    return sorted(found.values(), key=lambda one: (-one.weight, one.line))


def _all(text: str) -> Iterator[Finding]:
    yield from _hidden(text)
    seen = _seen(text)
    plain = [*_said(seen)]
    yield from plain
    for start, words in _out_of_sight(text):
        if any(_said(_seen(words))):
            yield Finding(
                "hidden-text",
                3,
                _line(text, start),
                "is hidden from readers, and speaks to agents",
                _short(words),
            )
    for start, words in _decoded(text):
        if any(_said(_seen(words))):
            yield Finding("encoded", 8, _line(text, start), "is encoded, and speaks to agents", _short(words))
    if not any(one.rule == "override" for one in plain):
        for disguised in (seen.translate(_LEET), codecs.decode(seen, "rot13"), _turned(seen)):
            if match := _first(_BY_ID["override"], disguised.lower()):
                yield Finding("disguised", 8, _line(disguised, match.start()), "is written so that only machines read it", _short(match[0]))  # fmt: skip


def _said(text: str) -> Iterator[Finding]:
    text = text.lower()
    for rule in RULES:
        match = _first(rule, text)
        if match is not None:
            yield Finding(rule.id, rule.weight, _line(text, match.start()), rule.says, _short(match[0]))


def _first(rule: Rule, text: str) -> re.Match[str] | None:
    """Where a rule first hits a text in lower case; most texts are done with when they have none of the marks."""
    for marks in (rule.marks, rule.also):
        if marks and not any(mark in text for mark in marks):
            return None
    return _COMPILED[rule.id].search(text)


def _hidden(text: str) -> Iterator[Finding]:
    if text.isascii():
        return
    if match := _TAGS.search(_FLAG.sub("", text)):
        words = "".join(chr(ord(char) & 0x7F) for char in match[0])
        yield Finding(
            "hidden-characters",
            6,
            _line(text, text.find(match[0])),
            "characters that nobody sees spell a text",
            _short(words),
        )
    if match := _BIDI.search(text):
        yield Finding(
            "direction",
            3,
            _line(text, match.start()),
            "turns the direction of a text",
            f"U+{ord(match[0]):04X}",
        )
    inside = _INSIDE.findall(text)
    if len(inside) > 1 or len(_ZERO.findall(text)) > 20:
        at = _INSIDE.search(text) or _ZERO.search(text)
        yield Finding(
            "no-width",
            3,
            _line(text, at.start() if at else 0),
            "words with characters of no width in them",
            f"{len(inside)} times",
        )
    if match := _MIXED.search(text):
        yield Finding(
            "look-alikes",
            3,
            _line(text, match.start()),
            "a word of letters of several scripts",
            _short(match[0]),
        )


def _out_of_sight(text: str) -> Iterator[tuple[int, str]]:
    for match in _COMMENT.finditer(text):
        yield match.start(), next((part for part in match.groups() if part is not None), "")
    for match in _TAGS.finditer(text):
        yield match.start(), "".join(chr(ord(char) & 0x7F) for char in match[0])


def _decoded(text: str) -> Iterator[tuple[int, str]]:
    for match in _BASE64.finditer(text):
        coded = match[0].replace("-", "+").replace("_", "/").rstrip("=")
        try:
            yield match.start(), base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-8")
        except (binascii.Error, ValueError):
            continue
    for match in _HEX.finditer(text):
        digits = re.sub(r"\\x|0x|[% ,]", "", match[0])
        try:
            yield match.start(), bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8")
        except ValueError:
            continue
    for match in _ENTITIES.finditer(text):
        numbers = re.findall(r"&#(x?)([0-9a-f]+);", match[0], re.IGNORECASE)
        codes = [int(digits, 16 if form else 10) for form, digits in numbers if form or digits.isdecimal()]
        yield match.start(), "".join(chr(code) for code in codes if code < 0x110000)


def _seen(text: str) -> str:
    """The text as a reader takes it: without what is not seen, with letters for what looks like them."""
    found = text
    if not text.isascii():
        found = unicodedata.normalize(
            "NFKC", _TAGS.sub("", _BIDI.sub("", _INSIDE.sub("", _ZERO.sub("", text))))
        )
        found = _MIXED.sub(lambda match: match[0].translate(_LOOKS), found)
    found = _SPACED.sub(lambda match: re.sub(r"[ ._*-]", "", match[0]), found)
    return found.replace("\t", " ")


def _turned(text: str) -> str:
    return "\n".join(line[::-1] for line in text.split("\n"))


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, max(at, 0)) + 1


def _short(text: str) -> str:
    found = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
