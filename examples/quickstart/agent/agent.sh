#!/bin/sh
# Stands in for a coding agent: rad-engineer starts it in a working copy, with the story on standard input
# and in $RAD_PROMPT_FILE. A model would now think; this one has the change of each story at hand and makes it.
set -eu

cat >/dev/null # the prompt: a real agent reads it
prepared="agent/work/$RAD_STORY_ID"
if [ ! -d "$prepared" ]; then
  echo "nothing is prepared for $RAD_STORY_ID" >&2
  exit 1
fi
echo "working on $RAD_STORY_ID: $RAD_STORY_TITLE"
(cd "$prepared" && find . -type f | sort | sed 's|^\./|writing |')
cp -R "$prepared/." .
echo "done"
