#!/bin/sh
# Types from the document, then JavaScript as browsers run it: no bundler. Called by `make page`.
set -e
tools=../../tests/clients/node_modules
"$tools/.bin/openapi-typescript" ../../openapi.json -o src/generated/api.d.ts
"$tools/.bin/tsc" -p .
cp index.html style.css built/
cp "$tools/openapi-fetch/dist/index.mjs" built/openapi-fetch.js
