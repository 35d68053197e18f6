"""How long a process has said nothing while somebody listened."""

from rad_engineer.gateway.silence import Silence


def test_it_grows_from_look_to_look_and_ends_with_a_word():
    silence = Silence(100.0)
    assert [silence.look(100.0 + after) for after in (0.5, 1.0, 1.25)] == [0.5, 1.0, 1.25]
    assert silence.unbroken
    silence.broken()
    assert (silence.look(101.5), silence.unbroken) == (0.25, False)


def test_who_does_not_look_has_not_heard_a_silence():
    silence = Silence(0.0)
    assert silence.look(3600.0) == 1.0
    assert silence.look(3600.5) == 1.5
