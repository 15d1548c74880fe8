#!/bin/sh
# Install the gateways to compare with into the directory given, at the versions that were measured.
# Needs python3, Node.js with npm, and the package registries. A second run finds what is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
peers=$(pwd)

LITELLM=1.106.2
PRISMA_CLIENT=5.17.0
PORTKEY=1.15.2

# Prisma, which LiteLLM reaches its database with, wants a native engine from its own server. Where
# that cannot be had, prisma-engine.js stands in for it.
generate_prisma_client() {
    (cd litellm/lib/python3*/site-packages && PATH="$peers/litellm/bin:$PATH" CHECKPOINT_DISABLE=1 \
        prisma generate --schema litellm/proxy/schema.prisma)
}

install_stand_in() {
    mkdir -p prisma
    npm install --silent --ignore-scripts --prefix prisma "@prisma/client@$PRISMA_CLIENT" \
        "@prisma/adapter-pg@$PRISMA_CLIENT" "@prisma/driver-adapter-utils@$PRISMA_CLIENT" pg graphql
    cp "$here/prisma-engine.js" prisma/engine.js
    chmod +x prisma/engine.js
    export PRISMA_QUERY_ENGINE_BINARY="$peers/prisma/engine.js" PRISMA_SCHEMA_ENGINE_BINARY="$peers/prisma/engine.js"
}

[ -x litellm/bin/litellm ] || {
    "${PYTHON:-python3}" -m venv litellm
    litellm/bin/python -m pip install --quiet "litellm[proxy]==$LITELLM" prisma httptools
}
generate_prisma_client || {
    install_stand_in
    generate_prisma_client
}
npm install --silent --ignore-scripts --prefix node "@portkey-ai/gateway@$PORTKEY"
