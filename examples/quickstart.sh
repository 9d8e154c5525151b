#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds, and asks questions about a document that the model reads in three ways: in full, as a memory, and as
# many of its last tokens as the memory has rows. No training, any model.
#
#   examples/quickstart.sh [DOCUMENT QUESTION...]
set -euo pipefail
document=${1:+$(realpath "$1")}
shift $(($# > 0))
cd "$(dirname "$0")/.."
compressor=attention_matching ratio=2  # at 4x more names and numbers are lost
document=${document:-examples/documents/harrow_bay_lighthouse.txt}
if [ $# = 0 ]; then
  set -- "Who pulled the five survivors of the Marigold from the water?" \
    "How many crowns did the ministry set aside for the tower?" \
    "Who carried the fourth letter to the capital?"
fi

third_party/install.sh --qwen
model=.deps/models/qwen2.5-coder-0.5b-instruct.gguf
[ -f "$model" ] || model=.deps/models/smollm2-135m-instruct.gguf
cmake --preset release -DPRECIS_TESTS=OFF >/dev/null
cmake --build --preset release

echo
echo "Model: $model, weights in int8. Document: $document, $(wc -w <"$document") words."
build/examples/three_answers "$model" "$document" $compressor $ratio "$@"
