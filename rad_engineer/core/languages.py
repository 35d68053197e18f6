"""What a test, an assertion and a skip look like: a row for each family of languages."""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of languages writes tests. A test's pattern may have a group `name`.

    `inline`: tests stand beside what they test, in a part of the file whose heading line matches.
    `named_below`: the pattern only announces a test, and the name is on a line below it.
    """

    name: str
    files: re.Pattern[str]  # all that are written in it
    tests: re.Pattern[str]  # those of them that hold tests
    test: re.Pattern[str]
    assertion: re.Pattern[str]
    skip: re.Pattern[str]
    inline: re.Pattern[str] | None = None
    named_below: re.Pattern[str] | None = None


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_FOLDERS = r"(?:^|/)(?:tests?|testing|specs?|__tests__|t|e2e|integration[-_]tests?|unit[-_]tests?)/"

FAMILIES: tuple[Family, ...] = (
    Family(
        "python",
        _compiled(r"\.pyi?$"),
        _compiled(rf"(?:^|/)(?:test_[^/]*|[^/]*_tests?|tests|conftest)\.py$|{_FOLDERS}"),
        _compiled(r"^\s*(?:async\s+)?def\s+(?P<name>test\w*)\s*\("),
        _compiled(
            r"^\s*(?:assert\b|(?:await\s+)?self\.(?:assert\w+|fail\w*)\s*\(|assert_\w+\(|\w[\w.]*\.assert_\w+\()"
            r"|\b(?:pytest\.)?(?:raises|warns|deprecated_call)\(|^\s*pytest\.fail\(|^\s*match=r?[\"']"
        ),
        _compiled(
            r"^\s*@\s*(?:pytest\.)?mark\.(?:skip|skipif|xfail)\b|(?:^|;)\s*pytest\.(?:skip|xfail)\(|^\s*@\s*(?:unittest\.)?(?:skip\w*|expectedFailure)\b"
            r"|\bself\.skipTest\(|(?:^\s*pytestmark\s*=|\bmarks\s*=|\badd_marker\().{0,300}\bmark\.(?:skip|skipif|xfail)\b|(?:^|;)\s*raise\s+(?:unittest\.)?SkipTest"
            r"|^\s*(?:collect_ignore|collect_ignore_glob)\s*\+?=|^\s*__test__\s*=\s*False|^\s*\w+\s*=\s*(?:pytest\.)?mark\.(?:skip|xfail)\b"
            r"|\.outcome\s*=\s*[\"']passed[\"']|\bexitstatus\s*=\s*0\b"
        ),
    ),
    Family(
        "javascript",
        _compiled(r"\.(?:[cm]?[jt]sx?|vue|svelte)$"),
        _compiled(rf"(?:^|/)[^/]*[._-](?:test|tests|spec|e2e|cy)\.[cm]?[jt]sx?$|{_FOLDERS}|(?:^|/)cypress/"),
        _compiled(
            r"^\s*(?:it|test|specify|xit|xtest|Deno\.test)(?:\.(?:each|only|skip|todo|failing|concurrent|serial|fails)\b)*"
            r"(?:\([^)\"'`]*\)|`[^`]*`)?\s*\(\s*(?P<name>[\"'`].*?[\"'`](?=\s*[,)]|$)|\w+)"
        ),
        _compiled(
            r"(?:^|[\s.;({=>])(?:expect|assert)\s*\(|\bassert\.\w+\s*\(|\.should\b|\.(?:expect|toBe\w*|toEqual|toThrow\w*)\("
            r"|^\s*t\.(?:is|not|deepEqual|true|false|truthy|falsy|throws|equal|ok|same|match|end)\w*\("
        ),
        _compiled(
            r"\b(?:it|test|describe|context|suite|specify)\.(?:skip|todo|failing|fails|fixme)\b|^\s*(?:xit|xtest|xdescribe|xcontext|fit|fdescribe)\s*\("
            r"|\b(?:it|test|describe|context|suite)\.only\b|\bthis\.skip\(|\b(?:it|test)\.skipIf\("
        ),
    ),
    Family(
        "go",
        _compiled(r"\.go$"),
        _compiled(r"_test\.go$"),
        _compiled(r"^func\s+(?:\([^)]*\)\s*)?(?P<name>(?:Test|Fuzz|Example|Benchmark)\w*)\s*\("),
        _compiled(
            r"\b[a-z]\w*\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\(|\b(?:assert|require|is|qt|check)\.\w+\(|\bExpect\("
        ),
        _compiled(r"\b[a-z]\w*\.(?:Skip|Skipf|SkipNow)\("),
    ),
    Family(
        "rust",
        _compiled(r"\.rs$"),
        _compiled(r"(?:^|/)(?:tests?|benches)/|(?:^|/)(?:tests?|[^/]*_tests?)\.rs$"),
        _compiled(r"^\s*#\[(?:\w+::)*(?:test|rstest|proptest|test_case|wasm_bindgen_test)\b|^\s*\w*test!\(\s*(?P<name>\w+)"),
        _compiled(r"\b(?:debug_)?(?:prop_)?assert\w*!\s*[({\[]|\b\w*eq\w*!\(|#\[should_panic"),
        _compiled(r"^\s*#\[ignore\b"),
        inline=_compiled(r"\bmod\s+\w*tests?\b"),
        named_below=_compiled(r"^\s*(?:pub\s+)?(?:async\s+)?fn\s+(?P<name>\w+)"),
    ),
    Family(
        "jvm",
        _compiled(r"\.(?:java|kts?|groovy|scala)$"),
        _compiled(r"(?:^|/)src/(?:\w*[tT]est\w*|it)/|(?:Tests?|Spec|IT)\.(?:java|kt|groovy|scala)$"),
        _compiled(r"^\s*@(?:Test|ParameterizedTest|RepeatedTest|TestFactory|Property)\b|^\s*(?:public\s+)?void\s+(?P<name>test\w+)\s*\("),
        _compiled(r"(?:^|[\s.;({])(?:assert\w*|Assert\.\w+|Assertions\.\w+|verify\w*|expect\w*|fail)\s*[({]|\.should\w*|^\s*assert\b"),
        _compiled(r"^\s*@(?:Ignore|Disabled\w*|DisabledIf\w*|EnabledIf\w*)\b|\bassume\w+\("),
        named_below=_compiled(r"\b(?:void|fun|def)\s+(?P<name>`[^`]+`|\w+)\s*\("),
    ),
    Family(
        "dotnet",
        _compiled(r"\.(?:cs|fs|vb)$"),
        _compiled(r"(?:Tests?|Specs?)\.(?:cs|fs|vb)$|(?:^|/)[^/]*[Tt]ests?/"),
        _compiled(r"^\s*\[(?:<)?(?:Test|TestMethod|Fact|Theory|TestCase|DataTestMethod)\b"),
        _compiled(r"\bAssert\.\w+|\.Should\w*\(|\bExpect\."),
        _compiled(r"^\s*\[(?:<)?(?:Ignore|Explicit)\b|\bSkip\s*=\s*\"|\bAssert\.(?:Ignore|Inconclusive)\("),
        named_below=_compiled(r"\b(?:void|Task|let)\s+(?P<name>``[^`]+``|\w+)\s*\("),
    ),
    Family(
        "ruby",
        _compiled(r"\.rb$"),
        _compiled(r"_(?:spec|test)\.rb$|(?:^|/)(?:spec|test)/"),
        _compiled(r"^\s*(?:def\s+(?P<name>test_\w+[?!]?)|(?:it|test|specify|scenario|example)\s+(?P<title>[\"'].*?[\"'])\s*(?:,|do|\{))"),
        _compiled(r"(?:^|[\s.({])(?:expect|assert\w*|refute\w*|flunk)\b|\.(?:should|must|wont)\w*"),
        _compiled(r"^\s*(?:xit|xdescribe|xcontext|xspecify|fit|fdescribe|pending|skip)\b|,\s*:?(?:skip|pending|focus)(?:\s*=>|:)"),
    ),
    Family(
        "php",
        _compiled(r"\.php$"),
        _compiled(r"(?:Test|Cest|Spec)\.php$|(?:^|/)tests?/"),
        _compiled(r"\bfunction\s+(?P<name>test\w+)\s*\(|^\s*(?:it|test)\((?P<title>[\"'].*?[\"'])\s*,"),
        _compiled(r"(?:->|::)assert\w+\(|\bexpect\(|->expect\w+\(|->should\w+\("),
        _compiled(r"\bmarkTest(?:Skipped|Incomplete)\(|->(?:skip|todo)\(|@group\s+skip"),
    ),
    Family(
        "native",
        _compiled(r"\.(?:c|cc|cpp|cxx|h|hh|hpp|hxx|m|mm)$"),
        _compiled(rf"(?:^|/)(?:test_[^/]*|[^/]*[_-]?(?:[tT]ests?|unittest))\.(?:c|cc|cpp|cxx|mm?|h|hpp)$|{_FOLDERS}"),
        _compiled(r"^\s*(?:TEST(?:_F|_P|_CASE)?|TYPED_TEST|SCENARIO|BOOST_AUTO_TEST_CASE)\s*\(\s*(?P<name>[^)]*)|^\s*(?:static\s+)?void\s+(?P<other>test_\w+)\s*\("),
        _compiled(r"\b(?:EXPECT|ASSERT|REQUIRE|CHECK|BOOST_(?:CHECK|REQUIRE|TEST)|TEST_ASSERT)\w*\s*\(|(?:^|[\s;{])(?:ck_)?assert\w*\s*\("),
        _compiled(r"\bGTEST_SKIP\b|\bDISABLED_\w+|\bSKIP\(|doctest::skip"),
    ),
    Family(
        "swift",
        _compiled(r"\.swift$"),
        _compiled(r"Tests?\.swift$|(?:^|/)Tests/"),
        _compiled(r"\bfunc\s+(?P<name>test\w+)\s*\(|^\s*@Test\b"),
        _compiled(r"\bXCT(?:Assert|Unwrap|Fail)\w*\(|#expect\(|#require\("),
        _compiled(r"\bXCTSkip|\.disabled\(|\bwithKnownIssue\("),
    ),
    Family(
        "elixir",
        _compiled(r"\.exs?$"),
        _compiled(r"_test\.exs$|(?:^|/)test/"),
        _compiled(r"^\s*test\s+(?P<name>[\"'].*?[\"'])"),
        _compiled(r"^\s*(?:assert\w*|refute\w*|flunk)\b"),
        _compiled(r"^\s*@(?:module|describe)?tag\s+:?(?:skip|pending)\b|@tag\s+skip:"),
    ),
    Family(
        "shell",
        _compiled(r"\.(?:bats|t|sh|bash)$"),
        _compiled(r"\.(?:bats|t)$|(?:^|/)(?:test[-_][^/]*|[^/]*[-_]test)\.(?:sh|bash)$"),
        _compiled(r"^\s*@test\s+(?P<name>[\"'].*?[\"'])|^\s*(?:function\s+)?(?P<other>test_?\w+)\s*\(\)"),
        _compiled(r"^\s*(?:assert\w*|refute\w*|\[\[?\s)"),
        _compiled(r"^\s*skip\b"),
    ),
)  # fmt: skip

_TRIVIAL = re.compile(
    r"^\s*assert\b\s*\(?(?:True|\d+(?:\s*[<>!=]=?\s*\d+)?|not\s+(?:False|None|0|\[\s*\]|\(\s*\)|\{\s*\}|\"\"|'')|f?(?P<text>[\"'])[^\"']*(?P=text)|\[[^\[\]]*\]|lambda\b.*"
    r"|(?P<same>[A-Za-z_][\w.()]*)\s*(?:==|is|>=|<=)\s*(?P=same)|len\([^=<>]*\)\s*>=\s*0)\s*\)?\s*(?:,.*|#.*)?$"
    r"|^\s*assert\b.*\bor\s+(?:True|1)\s*\)?\s*(?:,.*|#.*)?$|^\s*assert\s*\(.*,\s*f?(?P<said>[\"'])[^\"']*(?P=said),?\s*\)\s*(?:#.*)?$"
    r"|\bexpect\(\s*(?P<value>true|false|1|0|null|undefined)\s*\)\.to(?:Be|Equal)\(\s*(?P=value)\s*\)|\bexpect\(\s*true\s*\)\.toBeTruthy"
    r"|\bself\.assert(?:True\(\s*True|False\(\s*False|Equal\(\s*(?P<one>\w+)\s*,\s*(?P=one))\s*\)|\bassert(?:\.ok)?\(\s*(?:true|1)\s*\)"
    r"|\bassert!\(\s*true\s*\)|\bassert_eq!\(\s*(?P<left>\w+)\s*,\s*(?P=left)\s*\)|\bassert\.(?:True|Equal)\(\s*t\s*,\s*true\s*\)"
    r"|\bassertTrue\(\s*true\s*\)|\bassert_true\(\s*true"
)
_COMMENT = re.compile(r"^\s*(?:#(?!\[|if|define|include)|//|/\*|\*\s|--\s|;)")


@lru_cache(maxsize=4096)
def family_of(path: str) -> Family | None:
    """The family that a file is written in."""
    return next((family for family in FAMILIES if family.files.search(path)), None)


@lru_cache(maxsize=4096)
def holds_tests(path: str) -> bool:
    """Whether a file lies where tests lie, in whatever language."""
    family = family_of(path)
    return (family is not None and family.tests.search(path) is not None) or re.search(
        _FOLDERS, path
    ) is not None


def is_assertion(family: Family, line: str) -> bool:
    """Whether a line asserts something; one that nothing can break does not."""
    return family.assertion.search(line) is not None and not is_comment(line) and not _TRIVIAL.search(line)


def is_comment(line: str) -> bool:
    """Whether a line is only a comment, in most languages."""
    return _COMMENT.match(line) is not None
