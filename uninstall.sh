#!/usr/bin/env bash
# Takes away what install.sh and rad-engineer have put on this machine, however it was installed, and lists it.
# Configuration, keys, state and caches stay, unless --purge is given. What it does on macOS is untested.

uninstall_rad_engineer() {
  set -euo pipefail

  local purge='' found='' path line
  case ${HOME:-} in
    /*) ;;
    *)
      echo 'uninstall.sh: HOME does not name a folder of yours: set it' >&2
      exit 1
      ;;
  esac
  # A variable that does not begin at the root means nothing, as everybody reads it.
  local data=$HOME/.local/share config=$HOME/.config state=$HOME/.local/state cache=$HOME/.cache link=$HOME/.local/bin
  case ${XDG_DATA_HOME:-} in /*) data=$XDG_DATA_HOME ;; esac
  case ${XDG_CONFIG_HOME:-} in /*) config=$XDG_CONFIG_HOME ;; esac
  case ${XDG_STATE_HOME:-} in /*) state=$XDG_STATE_HOME ;; esac
  case ${XDG_CACHE_HOME:-} in /*) cache=$XDG_CACHE_HOME ;; esac
  case ${XDG_BIN_HOME:-} in /*) link=$XDG_BIN_HOME ;; esac
  link=$link/rad-engineer
  local command=''
  local kept=("$state/rad-engineer" "$cache/rad-engineer" "$config/rad-engineer")
  local completions=(
    "$data/bash-completion/completions/rad-engineer"
    "$config/fish/completions/rad-engineer.fish"
    "$HOME/.bash_completions/rad-engineer.sh"
    "$HOME/.zfunc/_rad-engineer"
  )

  usage() {
    cat <<'TEXT'
Usage: uninstall.sh [--purge]

Removes rad-engineer from where install.sh has put it: uv, pipx, or an environment of its own.

  --purge    remove its keys, state, caches and configuration outside repositories too

The folder .rad-engineer in your repositories and the branches in them are yours and stay.
TEXT
  }

  removed() {
    found=yes
    echo "removed: $1"
  }
  remove() {
    if [ -e "$1" ] || [ -L "$1" ]; then
      rm -rf "$1"
      removed "$1"
    fi
  }

  forget_keys() { # a key in a keyring is nothing that rm could find
    command=$(command -v "$link" || command -v rad-engineer) || return 0
    line=$("$command" logout 2>/dev/null) || return 0
    [ "$line" = 'no key was kept' ] || removed "${line#removed from }"
  }

  remove_completion() {
    local startup=$HOME/.bashrc
    for path in "${completions[@]}"; do remove "$path"; done
    rmdir "$HOME/.bash_completions" 2>/dev/null || true
    if grep -qs "^source .*/\.bash_completions/rad-engineer\.sh'\?$" "$startup"; then
      # Whole beside it first, and into it then, as it may be a link: a full disk costs nobody a startup file.
      path=$startup.rad-engineer
      (umask 077 && grep -v "^source .*/\.bash_completions/rad-engineer\.sh'\?$" "$startup" >"$path") || [ $? = 1 ] || {
        rm -f "$path"
        echo "kept:    the line for it in $startup, which cannot be changed"
        return
      }
      cat "$path" >"$startup"
      rm "$path"
      removed "the line for it in $startup"
    fi
  }

  list_caches() { # of others: what they hold of it and what else they hold cannot be told apart
    if command -v uv >/dev/null 2>&1; then
      told "$(uv cache dir 2>/dev/null)" 'uv cache clean rad-engineer'
    fi
    if command -v pipx >/dev/null 2>&1; then
      told "$(pipx environment --value PIPX_HOME 2>/dev/null)" 'what pipx keeps for itself, logs too'
    fi
    told "${PIP_CACHE_DIR:-$cache/pip}" 'python3 -m pip cache purge'
    told "$HOME/Library/Caches/pip" 'python3 -m pip cache purge'
  }
  told() {
    [ ! -d "$1" ] || echo "stays:   $1, which may hold packages of it and of others ($2)"
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

  [ -z "$purge" ] || forget_keys
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
      "$data/rad-engineer"/*) remove "$link" ;;
    esac
  fi
  for path in "$data"/rad-engineer/venv-*; do remove "$path"; done
  rm -f "$data/rad-engineer/installing" 2>/dev/null || true
  rmdir "$data/rad-engineer" 2>/dev/null || true # what somebody else has put there stays
  remove_completion
  for path in "${kept[@]}"; do
    [ -d "$path" ] || continue
    if [ -n "$purge" ]; then
      remove "$path"
    else
      echo "kept:    $path (--purge removes it)"
    fi
  done
  [ -n "$found" ] || echo 'nothing to remove'
  [ -z "$found" ] || list_caches
}

uninstall_rad_engineer "$@"
