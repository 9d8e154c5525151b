#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds, and asks a question about a document, whose beginning is read as a memory.
#
#   examples/quickstart.sh [DOCUMENT [QUESTION]]
set -euo pipefail
document=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."
document=${document:-examples/documents/harrow_bay_lighthouse.txt}
question=${2:-"What is this text about? Answer in two sentences."}
model=.deps/models/smollm2-135m-instruct.gguf
compressor=examples/compressors/smollm2-135m-instruct/gisting_4x

third_party/install.sh
cmake --preset release -DPRECIS_TESTS=OFF >/dev/null
cmake --build --preset release

echo
echo "The document: $document, $(wc -w <"$document") words."
echo "The window: 1,536 tokens. The document's beginning is compressed until the rest fits."
echo "$question"
echo
build/precis generate --model "$model" --compressor "$compressor" --context-file "$document" --overflow compress-former \
  --context-limit 1536 --prompt "$question" --max-tokens 96
