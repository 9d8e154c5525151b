#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds, and asks a question about a document that is read as a memory where it is too long.
#
#   examples/quickstart.sh [DOCUMENT [QUESTION]]
set -euo pipefail
cd "$(dirname "$0")/.."
document=${1:-examples/documents/harrow_bay_lighthouse.txt}
question=${2:-"What is this text about? Answer in two sentences."}
model=.deps/models/smollm2-135m-instruct.gguf
compressor=examples/compressors/smollm2-135m-instruct/selfcp

third_party/install.sh
cmake --preset release -DPRECIS_TESTS=OFF >/dev/null
cmake --build --preset release

echo
echo "The document: $document, $(wc -w <"$document") words. The window: 1,536 tokens."
echo "Its beginning is compressed until the rest fits, then: $question"
echo
build/precis generate --model "$model" --compressor "$compressor" --context-file "$document" \
  --overflow compress-former --context-limit 1536 --prompt "$question" --max-tokens 96
