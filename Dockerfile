# `npm start` in a container: docs/one-machine.md says how it is run.
FROM node:24-bookworm-slim

WORKDIR /cairn
COPY package.json package-lock.json .npmrc wrangler.toml ./
RUN npm ci --omit=dev && npm cache clean --force
COPY src ./src

# The data folder, its owner's alone.
RUN install -d -o node -g node -m 700 /data
USER node
VOLUME /data
EXPOSE 4512

ENV NODE_ENV=production npm_config_update_notifier=false npm_config_logs_max=0
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4512/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["npm", "start", "--silent", "--", "--host", "0.0.0.0", "--persist-to", "/data"]
