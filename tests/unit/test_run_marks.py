"""Marks of the run that an agent hands back: nobody is told them, everybody is told that they were there."""

from rad_engineer.agents import AgentResult
from rad_engineer.core.fence import marks
from rad_engineer.worker.marks import clean_log, without

OURS = marks("a seed", "US-1", 1)


def test_a_result_is_told_without_marks():
    said = f"{OURS.nonce} {OURS.token}"
    result = AgentResult(
        "finished",
        0,
        output=said,
        summary=said,
        files=(said,),
        criteria=({"criterion": said, "evidence": [said]},),
    )
    found = without(result, OURS)
    assert OURS.find(repr(found)) is None
    assert "last word" in found.noticed[0]
    assert without(AgentResult("finished", 0, output="fine"), OURS).noticed == ()


def test_a_log_has_stars_instead_of_marks_wherever_they_stand(tmp_path):
    log = tmp_path / "agent.log"
    text = b"x" * 999_995 + OURS.nonce.encode() + b"y" * 999_990 + OURS.token.encode() + b"end"
    log.write_bytes(text)
    assert clean_log(log, OURS)
    assert log.read_bytes() == text.replace(OURS.nonce.encode(), b"*" * 16).replace(
        OURS.token.encode(), b"*" * 29
    )
    assert not clean_log(log, OURS)


def test_a_log_that_is_none_is_left_alone(tmp_path):
    (tmp_path / "file").write_text(OURS.nonce)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert not clean_log(tmp_path / "link", OURS)
    assert not clean_log(tmp_path / "none", OURS)
    assert (tmp_path / "file").read_text() == OURS.nonce
