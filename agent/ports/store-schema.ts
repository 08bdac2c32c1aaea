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
  `
  -- 'schedule': an offer that the guest took. 'agent': run without the guest. 'guest': asked for outside an offer.
  -- 'operator': the command line. 'proxmox': somebody else's vzdump, seen.
  ALTER TABLE backup_jobs ADD COLUMN source TEXT NOT NULL DEFAULT 'schedule';
  ALTER TABLE backup_jobs ADD COLUMN failure TEXT NOT NULL DEFAULT '';      -- kebab-case, of a failed one
  ALTER TABLE backup_jobs ADD COLUMN config_digest TEXT NOT NULL DEFAULT ''; -- the guest's configuration at the start
  CREATE INDEX backup_jobs_unfinished ON backup_jobs (state) WHERE state IN ('intent', 'running');
  CREATE INDEX backup_jobs_by_upid ON backup_jobs (upid) WHERE upid <> '';
  CREATE INDEX backup_jobs_by_archive ON backup_jobs (archive) WHERE archive <> '';

  CREATE TABLE archives (
    volid TEXT PRIMARY KEY,
    vmid INTEGER NOT NULL,
    storage TEXT NOT NULL,
    job_id TEXT,
    source TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    protected INTEGER NOT NULL,
    notes TEXT NOT NULL,
    verification TEXT NOT NULL CHECK (verification IN ('pending', 'ok', 'failed', 'unsupported')),
    verified_at INTEGER,
    verification_error TEXT NOT NULL DEFAULT '',
    proven_at INTEGER
  ) STRICT;
  CREATE INDEX archives_by_guest ON archives (vmid, created_at);

  CREATE TABLE schedules (
    schedule TEXT PRIMARY KEY,        -- a calendar event as configured
    asked_at INTEGER NOT NULL,
    timezone TEXT NOT NULL,
    occurrences TEXT NOT NULL         -- JSON array, ascending, without the host's jitter
  ) STRICT;

  CREATE TABLE problems (
    code TEXT NOT NULL,
    vmid INTEGER NOT NULL,            -- 0: the whole host
    since INTEGER NOT NULL,
    sentence TEXT NOT NULL,
    evidence TEXT NOT NULL,
    next_step TEXT NOT NULL,
    PRIMARY KEY (code, vmid)
  ) STRICT;

  -- Where a backup storage was last seen mounted: a drive that is absent must not look like a directory of the root file system.
  CREATE TABLE targets (
    storage TEXT PRIMARY KEY,
    path TEXT NOT NULL,               -- as configured then; of another path it tells nothing
    mount_point TEXT NOT NULL,
    seen_at INTEGER NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE backup_jobs ADD COLUMN intends TEXT NOT NULL DEFAULT '[]'; -- JSON array: the applications that were to be consistent
  ALTER TABLE backup_jobs ADD COLUMN held_apps TEXT;                     -- JSON array: what the guest reported of them
  ALTER TABLE backup_jobs ADD COLUMN one_instant INTEGER;                -- 0, 1; of the consistency point
  `,
  `
  CREATE TABLE drives (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,               -- the kernel's, when last seen
    model TEXT NOT NULL,
    serial TEXT NOT NULL,
    wwn TEXT NOT NULL,
    size_bytes INTEGER,
    transport TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    role TEXT CHECK (role IN ('system', 'backup')), -- remembered; NULL: none
    role_why TEXT NOT NULL DEFAULT '',
    role_at INTEGER,
    owner_vmid INTEGER,
    owner_instance TEXT NOT NULL DEFAULT '',
    owner_at INTEGER,
    smart TEXT                        -- JSON: the newest whole reading, with its time
  ) STRICT;

  -- One key may be on several drives: a clone's file system, a set's members.
  CREATE TABLE drive_keys (
    key TEXT NOT NULL,
    drive INTEGER NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    PRIMARY KEY (key, drive)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX drive_keys_by_drive ON drive_keys (drive);

  CREATE TABLE assignments (
    mount_point TEXT PRIMARY KEY,     -- on the host, below the mount root
    vmid INTEGER NOT NULL,
    drive INTEGER NOT NULL REFERENCES drives (id),
    uuid TEXT NOT NULL,               -- of the file system
    fstype TEXT NOT NULL,
    options TEXT NOT NULL,            -- as built by the agent
    link TEXT NOT NULL,               -- name below /dev/felhom
    match TEXT NOT NULL,              -- JSON: what the link's rule matches beside the UUID
    state TEXT NOT NULL CHECK (state IN ('assigning', 'assigned', 'ejecting')),
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE blank_proofs (
    boot_id TEXT NOT NULL,
    diskseq INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    sectors_written INTEGER,          -- the kernel's count when the reading began: more since means it may hold something now
    blank INTEGER NOT NULL CHECK (blank IN (0, 1)),
    first_data_at INTEGER,            -- bytes from the start
    finished_at INTEGER NOT NULL,
    PRIMARY KEY (boot_id, diskseq)
  ) STRICT;
  `,
  `
  -- What a guest was asked to confirm: for 15 minutes, once.
  CREATE TABLE confirmations (
    durable_id TEXT PRIMARY KEY,
    nonce BLOB NOT NULL,
    vmid INTEGER NOT NULL,
    drive INTEGER NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    fstype TEXT NOT NULL,
    identity TEXT NOT NULL,           -- JSON, for the audit: what the id's digest covers
    boot_id TEXT NOT NULL,
    created_monotonic INTEGER NOT NULL, -- ms of that boot: its age, whatever the wall clock does
    created_at INTEGER NOT NULL,
    used_at INTEGER
  ) STRICT;

  -- What only the operator's signature permits.
  CREATE TABLE pending_ops (
    id TEXT PRIMARY KEY,
    op TEXT NOT NULL CHECK (op IN ('storage_wipe')),
    durable_id TEXT NOT NULL UNIQUE,
    nonce BLOB NOT NULL,
    vmid INTEGER NOT NULL,
    instance TEXT NOT NULL,           -- of the guest that asked
    drive INTEGER NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    device TEXT NOT NULL,             -- the kernel's name, for people
    role TEXT NOT NULL CHECK (role IN ('system', 'backup')),
    fstype TEXT NOT NULL,
    identity TEXT NOT NULL,           -- JSON, for the audit: what the id's digest covers
    boot_id TEXT NOT NULL,
    created_monotonic INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'granted', 'expired', 'closed')),
    reason TEXT NOT NULL DEFAULT '',
    closed_at INTEGER,
    job_id TEXT NOT NULL DEFAULT '',
    granted_by TEXT NOT NULL DEFAULT '',
    prepared TEXT NOT NULL DEFAULT '[]' -- JSON array: what 'ops prepare' did and has not undone
  ) STRICT;
  CREATE INDEX pending_ops_by_state ON pending_ops (state, created_at);

  CREATE TABLE used_grants (
    jti TEXT PRIMARY KEY,
    op_id TEXT NOT NULL UNIQUE,
    kid TEXT NOT NULL,
    sub TEXT NOT NULL,
    issued_at INTEGER NOT NULL,       -- as the signature says
    expires_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT;

  -- One row. The second file beside the operator's keys holds the same: a database that was lost or put back from a copy is told by it.
  CREATE TABLE grant_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    setup_id TEXT NOT NULL,
    counter INTEGER NOT NULL,
    clock_mark INTEGER                -- newest time that was believed
  ) STRICT;

  CREATE TABLE formats (
    job_id TEXT PRIMARY KEY,
    vmid INTEGER NOT NULL,
    drive INTEGER NOT NULL,           -- of the record that the drive had when it began
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    serial TEXT NOT NULL,
    size_bytes INTEGER,
    fstype TEXT NOT NULL,
    permitted_by TEXT NOT NULL CHECK (permitted_by IN ('blank', 'confirmed', 'granted')),
    asked_id TEXT NOT NULL,           -- the durable_id of the request; '' where it had none
    bound_id TEXT NOT NULL,           -- the confirmed or granted one; '' for a blank drive
    op_id TEXT NOT NULL DEFAULT '',
    identity TEXT NOT NULL,           -- JSON: the drive as it was before
    owner TEXT NOT NULL,              -- JSON: whose it becomes
    boot_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
    phase TEXT NOT NULL,
    uuid TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    started_at INTEGER NOT NULL,
    finished_at INTEGER
  ) STRICT;
  CREATE INDEX formats_running ON formats (state) WHERE state = 'running';
  CREATE INDEX formats_by_guest ON formats (vmid, started_at);
  `,
];
