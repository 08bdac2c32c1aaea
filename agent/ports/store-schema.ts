/** The database's shape, as numbered steps. A step that has shipped is never edited; a change is a new step. */

/** Index + 1 = the schema's version (`PRAGMA user_version`). Times are milliseconds since 1970. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE guests (
    vmid INTEGER PRIMARY KEY,
    enrolled_at INTEGER NOT NULL,
    scopes TEXT NOT NULL              -- JSON array
  ) STRICT;

  CREATE TABLE tokens (
    hash BLOB PRIMARY KEY,            -- SHA-256 of the secret part; the token itself is never stored
    vmid INTEGER NOT NULL REFERENCES guests (vmid) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'superseded', 'revoked')),
    valid_until INTEGER               -- of a superseded one: the end of its overlap
  ) STRICT;
  CREATE INDEX tokens_by_guest ON tokens (vmid);

  CREATE TABLE backup_jobs (
    job_id TEXT PRIMARY KEY,
    vmid INTEGER NOT NULL,
    request_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('intent', 'running', 'done', 'failed')),
    storage TEXT NOT NULL,
    created_at INTEGER NOT NULL,      -- the intent, written before Proxmox is asked
    upid TEXT NOT NULL DEFAULT '',
    started_at INTEGER,
    consistency_point_at INTEGER,
    finished_at INTEGER,
    mode TEXT,
    label TEXT,
    archive TEXT NOT NULL DEFAULT '',
    size_bytes INTEGER,
    frozen_ms INTEGER,
    warnings TEXT NOT NULL DEFAULT '[]',
    error TEXT NOT NULL DEFAULT '',
    verified_at INTEGER,
    proven_at INTEGER
  ) STRICT;
  CREATE INDEX backup_jobs_by_guest ON backup_jobs (vmid, created_at);
  CREATE UNIQUE INDEX backup_jobs_by_request ON backup_jobs (vmid, request_id) WHERE request_id IS NOT NULL;

  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,                -- 'root', 'guest 101', 'agent'
    what TEXT NOT NULL,               -- kebab-case
    details TEXT NOT NULL             -- JSON object, no secrets
  ) STRICT;
  `,
];
