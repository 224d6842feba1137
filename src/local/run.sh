#!/bin/sh
# Runs one of this repository's programs with the Node that `npm ci` installs: an older one cannot read TypeScript, and says so badly.
if ! [ -x node_modules/.bin/node ] || ! [ -d node_modules/esbuild ]; then
  echo "The packages that this needs are not installed yet. Run: npm ci" >&2
  exit 1
fi
exec node_modules/.bin/node "$@"
