#!/usr/bin/env bash
# Takes away what install.sh has installed, however it did it. State and caches stay, unless --purge is given.

uninstall_rad_engineer() {
  set -euo pipefail

  local purge='' found='' folder
  local data=${XDG_DATA_HOME:-$HOME/.local/share}/rad-engineer link=${XDG_BIN_HOME:-$HOME/.local/bin}/rad-engineer
  local kept=(
    "${XDG_STATE_HOME:-$HOME/.local/state}/rad-engineer"
    "${XDG_CACHE_HOME:-$HOME/.cache}/rad-engineer"
    "${XDG_CONFIG_HOME:-$HOME/.config}/rad-engineer"
  )

  usage() {
    cat <<'TEXT'
Usage: uninstall.sh [--purge]

Removes rad-engineer from where install.sh has put it: uv, pipx, or an environment of its own.

  --purge    remove its state, caches and configuration outside repositories too

The folder .rad-engineer in your repositories and the branches in them are yours and stay.
TEXT
  }

  removed() {
    found=yes
    echo "removed: $1"
  }

  case ${1:-} in
    '') ;;
    --purge) purge=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      echo "uninstall.sh: no such option: $1; see uninstall.sh --help" >&2
      exit 2
      ;;
  esac

  if command -v uv >/dev/null 2>&1 && [ -d "$(uv tool dir 2>/dev/null)/rad-engineer" ]; then
    uv tool uninstall --quiet rad-engineer
    removed 'the tool rad-engineer of uv'
  fi
  if command -v pipx >/dev/null 2>&1 && pipx list --short 2>/dev/null | grep -q '^rad-engineer '; then
    pipx uninstall rad-engineer >/dev/null
    removed 'the application rad-engineer of pipx'
  fi
  if [ -L "$link" ]; then
    case $(readlink "$link") in
      "$data"/*)
        rm -f "$link"
        removed "$link"
        ;;
    esac
  fi
  if [ -d "$data" ]; then
    rm -rf "$data"
    removed "$data"
  fi
  for folder in "${kept[@]}"; do
    [ -d "$folder" ] || continue
    if [ -n "$purge" ]; then
      rm -rf "$folder"
      removed "$folder"
    else
      echo "kept:    $folder (--purge removes it)"
    fi
  done
  [ -n "$found" ] || echo 'nothing to remove'
}

uninstall_rad_engineer "$@"
