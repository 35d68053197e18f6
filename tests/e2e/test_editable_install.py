"""A Python in which the user's checkout is installed: gates judge the story's modules all the same."""

import sys
import sysconfig

import pytest

from tests.conftest import Project, agent, prd, story

TEST = "import shop\n\n\ndef test_one():\n    assert shop.one() == 1\n"


@pytest.mark.parametrize("source", ["src/shop.py", "shop.py"])
@pytest.mark.parametrize("number", [1, 2])
def test_the_modules_of_the_copy_are_judged(project: Project, source: str, number: int) -> None:
    project.init(
        {
            "prd.json": prd(story("A")),
            "pyproject.toml": "[project]\nname = 'shop'\n",
            source: "def one():\n    return 1\n",
            "tests/test_shop.py": TEST,
            "rad-engineer.toml": '[gates]\ntest = "pytest -q"\n',
        }
    )
    installed = project.folder.parent / "python" / "bin" / "pytest"
    installed.parent.mkdir(parents=True)
    # What an editable install comes to: a Python that finds the modules of the checkout.
    path = [str((project.folder / source).parent), sysconfig.get_paths()["purelib"]]
    installed.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path += {path!r}\nsys.path[0:1] = []\n"
        "import pytest\nsys.exit(pytest.console_main())\n"
    )
    installed.chmod(0o755)
    ran = project.rad(
        "run", "prd.json", *agent(project, f"echo 'def one(): return {number}' > {source}; echo >> notes.txt\n"),
        "--yes", env={"PATH": f"{installed.parent}:{project.env['PATH']}"},
    )  # fmt: skip
    assert ran.code == number - 1, ran.out + ran.err
    assert ("tests/test_shop.py::test_one" in project.rad("explain", "A").out) == (number == 2)
