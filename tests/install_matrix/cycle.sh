#!/bin/bash
# One whole life: install, set up, quickstart, an upgrade that crashes, a good one, uninstall. Prints what happened, line by line.
# Usage: cycle.sh INSTALL UNINSTALL [options of the first installation]
set -uo pipefail
install=$1 uninstall=$2
shift 2
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/given/house LANG=C.UTF-8
export PATH=${XDG_BIN_HOME:-$HOME/.local/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
work=$(mktemp -d)

ok() { printf 'ok %s\n' "$*"; }
bad() {
  printf 'FAILED %s\n' "$*"
  exit 1
}
# All files but those of this script and of the system's own making.
files() { find / -xdev \( -path /proc -o -path /dev -o -path /run -o -path /given -o -path "$work" \) -prune -o ! -type d -print 2>/dev/null | LC_ALL=C sort; }

cd "$work" || exit
files >"$work/before"
"$install" --using venv --no-setup "$@" 2>"$work/said" || bad "install: $(cat "$work/said")"
first=$(rad-engineer --version) || bad 'it does not answer'
ok "installed: $first"
imported=$(cd / && "$(readlink "$(command -v rad-engineer)" | sed 's,rad-engineer$,python,')" -c 'import rad_engineer; print(rad_engineer.__file__)')
case $imported in */site-packages/rad_engineer/*) ok 'imported from site-packages' ;; *) bad "imported from $imported" ;; esac

rad-engineer setup --agent anthropic --default-budget 3 --completion bash 2>/dev/null || bad 'setup'
printf 'made.up.key\n' | rad-engineer login >/dev/null || bad 'login'
config=${XDG_CONFIG_HOME:-$HOME/.config}/rad-engineer
cat "$config"/* >"$work/configured"

python3 -m venv "$work/python" || bad 'no environment for pytest'
"$work/python/bin/python" -m pip install -q --disable-pip-version-check pytest 2>"$work/said" || bad "pytest: $(cat "$work/said")"
rad-engineer quickstart "$work/pocket book" >/dev/null || bad 'quickstart'
cd "$work/pocket book" || exit
PATH=$work/python/bin:$PATH rad-engineer run prd.json --yes >"$work/run" 2>&1 || bad "run: $(tail -n 40 "$work/run")"
grep -q '^5 of 5 stories landed on rad/pocketbook$' "$work/run" || bad "run: $(cat "$work/run")"
[ "$(git rev-list --count main..rad/pocketbook)" -ge 5 ] || bad 'what has landed'
ok "quickstart: 5 of 5 landed, $(sed -n 's/.*\(sandbox: [a-z]*\).*/\1/p' "$work/run" | head -n 1)"
cd "$work" || exit

"$install" --using venv --from /given/crashing/*.whl 2>"$work/said" && bad 'a version that crashes was installed'
rad-engineer --help >/dev/null || bad 'the old version does not answer'
[ "$(rad-engineer --version)" = "$first" ] || bad 'another version'
ok "after an upgrade that crashes: $first answers"

"$install" --using venv --from /given/newer/*.whl 2>"$work/said" || bad "upgrade: $(cat "$work/said")"
[ "$(rad-engineer --version)" = 'rad-engineer 99.0.0' ] || bad "after the upgrade: $(rad-engineer --version)"
cat "$config"/* | cmp - "$work/configured" || bad 'the upgrade changed the configuration'
ok 'upgraded: configuration and key are as before'

"$uninstall" --purge >"$work/removed" || bad "uninstall: $(cat "$work/removed")"
rad-engineer --version >/dev/null 2>&1 && bad 'it is still there'
files >"$work/after"
left=$(comm -13 "$work/before" "$work/after")
[ -z "$left" ] || bad "left: $left"
lost=$(comm -23 "$work/before" "$work/after")
[ -z "$lost" ] || bad "lost: $lost"
ok "uninstalled: nothing is left, $(grep -c '^removed' "$work/removed") things removed"
