"""What each story looks like in its own file."""

from rad_engineer import importers
from rad_engineer.core.prd import Prd


def story_texts(prd: Prd) -> list[str]:
    """The text of every story, by its position in the PRD; "" where it has no place."""
    found = importers.spans(prd)
    places = (found.get(index, (0, 0)) for index in range(len(prd.stories)))
    return [prd.text[start:end] for start, end in places]
