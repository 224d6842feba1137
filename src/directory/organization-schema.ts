/**
 * The tables of one organization. Times are milliseconds since 1970. Append-only: see `core/migrations.ts`.
 *
 * `organization` has one row. Its `databases` counts the ready databases and its `databases_ever` all rows, so that no query counts rows.
 * A database's row stays for good, in the end as its tombstone. `outbox` has what databases (or the index) must still be told: a message
 * is written in the transaction that decided it, and removed when it has arrived; `outbox.ts` explains `begun` and `held`. `exchanges`
 * says which databases may hold grants of a token, and until when. `backups` says which database a backup may belong to; only the
 * database knows whether the backup exists. `token-pools.ts` explains `pool`, `parent`, `children` and `ended_at` of a token. `cascades`
 * has the tokens whose minted tokens are being revoked. `key_makers` says which token has made API keys of which database; `keys_of` of a
 * message is the token whose keys are to be deleted.
 */
import { schemaOf } from "../core/migrations.ts";

export const ORGANIZATION_SCHEMA = schemaOf("schema_version", [
  [
    `CREATE TABLE organization (
       one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, name TEXT NOT NULL,
       state TEXT NOT NULL CHECK (state IN ('ready', 'deleted')), created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
       databases INTEGER NOT NULL DEFAULT 0, databases_ever INTEGER NOT NULL DEFAULT 0, housekeeping_at INTEGER,
       reads INTEGER NOT NULL DEFAULT 0, writes INTEGER NOT NULL DEFAULT 0,
       read_units INTEGER NOT NULL DEFAULT 0, write_units INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
     ) STRICT`,
    `CREATE TABLE databases (
       id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL,
       state TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'deleting', 'deleted')),
       location_hint TEXT, jurisdiction TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deletion_job TEXT,
       reads INTEGER NOT NULL DEFAULT 0, writes INTEGER NOT NULL DEFAULT 0,
       read_units INTEGER NOT NULL DEFAULT 0, write_units INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
       reported_at INTEGER
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX databases_created_at ON databases (created_at, id) WHERE state = 'ready'`,
    `CREATE INDEX databases_updated_at ON databases (updated_at, id) WHERE state = 'ready'`,
    `CREATE INDEX databases_reported_at ON databases (reported_at) WHERE state = 'ready' AND reported_at IS NOT NULL`,
    `CREATE TABLE tokens (
       id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL, signing_key TEXT NOT NULL, name TEXT NOT NULL,
       permissions TEXT NOT NULL, databases TEXT NOT NULL, key_prefix TEXT, expires_at INTEGER,
       created_by TEXT NOT NULL, created_at INTEGER NOT NULL, last_used_at INTEGER, revoked_at INTEGER
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX tokens_created_at ON tokens (created_at, id)`,
    `CREATE TABLE exchanges (
       token_id TEXT NOT NULL, database_id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (token_id, database_id)
     ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE outbox (
       id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('initialize', 'revoke', 'wipe', 'forget')),
       subject TEXT NOT NULL, token_id TEXT, until INTEGER, delete_backups INTEGER NOT NULL DEFAULT 0,
       attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL, error TEXT
     ) STRICT`,
    `CREATE INDEX outbox_due_at ON outbox (due_at)`,
    `CREATE INDEX outbox_subject ON outbox (subject)`,
    `CREATE INDEX outbox_token_id ON outbox (token_id, due_at) WHERE token_id IS NOT NULL`,
    `CREATE TABLE idempotency (
       caller TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, resource TEXT NOT NULL, created_at INTEGER NOT NULL,
       PRIMARY KEY (caller, key)
     ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE jobs (
       id TEXT PRIMARY KEY, kind TEXT NOT NULL, database_id TEXT NOT NULL, status TEXT NOT NULL,
       done INTEGER NOT NULL, total INTEGER NOT NULL, error TEXT, created_at INTEGER NOT NULL, finished_at INTEGER
     ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE usage (
       start INTEGER PRIMARY KEY, reads INTEGER NOT NULL, writes INTEGER NOT NULL,
       read_units INTEGER NOT NULL, write_units INTEGER NOT NULL, bytes INTEGER NOT NULL
     ) STRICT`,
  ],
  [
    `CREATE TABLE backups (id TEXT PRIMARY KEY, database_id TEXT NOT NULL) STRICT, WITHOUT ROWID`,
    `CREATE INDEX backups_database_id ON backups (database_id)`,
    `ALTER TABLE jobs ADD COLUMN result TEXT`,
  ],
  [
    `ALTER TABLE tokens ADD COLUMN pool TEXT NOT NULL DEFAULT ''`,
    `ALTER TABLE tokens ADD COLUMN parent TEXT`,
    `ALTER TABLE tokens ADD COLUMN children INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE tokens ADD COLUMN ended_at INTEGER`,
    `CREATE INDEX tokens_parent ON tokens (parent, id) WHERE parent IS NOT NULL`,
    `CREATE INDEX tokens_expires_at ON tokens (pool, expires_at) WHERE ended_at IS NULL`,
    `CREATE INDEX tokens_ended_at ON tokens (pool, ended_at) WHERE ended_at IS NOT NULL`,
    `CREATE INDEX tokens_unnamed ON tokens (pool, ended_at) WHERE ended_at IS NOT NULL AND children = 0`,
    `UPDATE tokens SET ended_at = revoked_at, parent = (SELECT id FROM tokens AS minter WHERE minter.id = tokens.created_by)`,
    `UPDATE tokens SET children = (SELECT count(*) FROM tokens AS minted WHERE minted.parent = tokens.id)`,
    `CREATE TABLE token_pools (pool TEXT PRIMARY KEY, live INTEGER NOT NULL, ended INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
    `INSERT INTO token_pools SELECT '', count(*) - count(ended_at), count(ended_at) FROM tokens`,
    `CREATE TABLE cascades (token_id TEXT PRIMARY KEY, after TEXT NOT NULL, due_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  ],
  [`ALTER TABLE outbox ADD COLUMN filling TEXT`],
  [`ALTER TABLE tokens ADD COLUMN allowed_origins TEXT`],
  [
    `ALTER TABLE outbox ADD COLUMN begun INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE outbox ADD COLUMN held INTEGER NOT NULL DEFAULT 0`,
  ],
  [`ALTER TABLE databases ADD COLUMN feed TEXT`],
  [
    `CREATE TABLE key_makers (
       token_id TEXT NOT NULL, maker TEXT NOT NULL, database_id TEXT NOT NULL, PRIMARY KEY (token_id, maker, database_id)
     ) STRICT, WITHOUT ROWID`,
    `ALTER TABLE outbox ADD COLUMN keys_of TEXT`,
  ],
]);
