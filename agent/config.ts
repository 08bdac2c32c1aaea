/** `agent.yaml`, read and checked: every key but `listen` has a default, an unknown key or a bad value stops the start. */
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { parseDocument } from 'yaml';
import { normalizeFingerprint } from '#shared/pin';
import {
  absolutePath,
  duration,
  integer,
  listOf,
  oneOf,
  optional,
  type Reader,
  readSettings,
  type SettingProblem,
  section,
  text,
} from '#shared/settings';

/** Minutes of the local day; may go over midnight. */
export interface Window {
  from: number;
  to: number;
}

export const KEEP = ['keep-last', 'keep-hourly', 'keep-daily', 'keep-weekly', 'keep-monthly', 'keep-yearly'] as const;
/** How many to keep of each kind, as Proxmox counts them; a kind that is left out keeps none. */
export type Retention = { [Kind in (typeof KEEP)[number]]?: number };

/** What may differ from guest to guest. */
export interface GuestRules {
  mode: 'snapshot' | 'suspend' | 'stop';
  /** A Proxmox calendar event. */
  schedule: string;
  window: Window;
  maxAgeMs: number;
}

export interface AgentConfig {
  /** Null: made at the first start and kept in the state directory. */
  hostId: string | null;
  listen: { address: string; port: number }[];
  stateDir: string;
  /** The admin socket's directory, `/run/felhom-agent`. */
  runtimeDir: string;
  proxmox: {
    endpoint: string;
    /** `auto`: the node's certificate file. Otherwise 64 lower-case hex digits. */
    fingerprint: 'auto' | (string & {});
    tokenFile: string;
    node: 'auto' | (string & {});
    configDir: string;
    taskLogDir: string;
    /** vzdump's, one for the node. */
    lockFile: string;
  };
  backup: GuestRules & {
    storage: string;
    compress: 'zstd' | 'gzip' | 'lzo' | '0';
    minIntervalMs: number;
    /** An offer that the guest does not take is run by the agent after this. */
    fallbackAfterMs: number;
    /** The agent stops its own backup of a stopped guest when somebody wants to start that guest. */
    startPreempts: boolean;
    retention: Retention;
    guests: ReadonlyMap<number, Partial<GuestRules>>;
  };
  disks: {
    /** Below it one directory for each assigned file system. */
    mountRoot: string;
    filesystems: readonly Filesystem[];
    /** Drives that are never user-data: `serial:…`, `wwn:…`. */
    protect: readonly string[];
    /** Who may take unowned user-data drives. Null: the enrolled guest, if there is only one. */
    guests: readonly number[] | null;
    /** udev's database; differs only in tests and the demo. */
    udevDir: string;
    /** Files whose loop devices count as drives; only in tests and the demo. */
    loopDrives: readonly string[];
  };
  opsign: {
    /** The operators' public keys; a file beside it, `grants.json`, is felhom's second witness of used grants. */
    authorizedKeys: string;
    /** How long an operation waits for its signature. */
    maxAgeMs: number;
  };
  limits: { requestsPerSecond: number; streams: number };
}

/** What felhom mounts for guests. */
export const FILESYSTEMS = ['ext4', 'xfs', 'btrfs', 'exfat'] as const;
export type Filesystem = (typeof FILESYSTEMS)[number];

/** Linux's limit for a Unix socket's path, without its closing zero (unix(7)). */
const SOCKET_PATH_BYTES = 107;

export const adminSocketPath = (runtimeDir: string): string => `${runtimeDir}/admin.sock`;

export const fitsSocket = (runtimeDir: string): boolean => Buffer.byteLength(adminSocketPath(runtimeDir)) <= SOCKET_PATH_BYTES;

const flag: Reader<boolean> = (value, path, problems) => {
  if (typeof value === 'boolean') return value;
  problems.push({ path, sentence: 'must be true or false, without quotes' });
  return false;
};

/** A section that may be left out or empty: its keys all have defaults. */
const group = <F extends Record<string, Reader<unknown>>>(fields: F) => {
  const read = section(fields);
  const tolerant: typeof read = (value, path, problems) => read(value ?? {}, path, problems);
  return tolerant;
};

/** Every address of the host, in any spelling. */
export const isWildcard = (address: string): boolean =>
  /^[0:.]+(%.*)?$/.test(address) || /^::ffff:(0\.0\.0\.0|0:0)$/i.test(address);

const address = text("the bridge's own IP address, such as 10.10.10.1", (value) => isIP(value) !== 0);

const listener: Reader<{ address: string; port: number }> = (value, path, problems) => {
  const read = section({ address, port: integer(1, 65_535), allow_wildcard: optional(flag, false) })(value, path, problems);
  if (isWildcard(read.address) && !read.allow_wildcard) {
    problems.push({
      path: `${path}.address`,
      sentence:
        'is a wildcard, which would serve the guest API on every network of the host; ' +
        "write the bridge's own address, or add allow_wildcard: true if that is meant",
    });
  }
  return { address: read.address, port: read.port };
};

const listen: Reader<AgentConfig['listen']> = (value, path, problems) => {
  if (value === undefined || value === null) {
    problems.push({
      path,
      sentence: 'is missing; write where guests reach the agent, such as [{address: 10.10.10.1, port: 8443}]',
    });
    return [];
  }
  const listeners = listOf(listener, { atLeast: 1 })(value, path, problems);
  for (const [index, one] of listeners.entries()) {
    const first = listeners.findIndex((other) => other.address === one.address && other.port === one.port);
    if (first < index) problems.push({ path: `${path}[${index}]`, sentence: `repeats ${path}[${first}]; remove one of the two` });
  }
  return listeners;
};

const directory: Reader<string> = (value, path, problems) => absolutePath(value, path, problems).replace(/(?<=.)\/+$/, '');

const runtimeDir: Reader<string> = (value, path, problems) => {
  const read = directory(value, path, problems);
  if (!fitsSocket(read)) {
    problems.push({
      path,
      sentence: `makes the admin socket's path longer than ${SOCKET_PATH_BYTES} bytes; name a shorter directory`,
    });
  }
  return read;
};

/** The URL itself is never repeated: it may hold a password. */
const httpsOrigin: Reader<string> = (value, path, problems) => {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null;
  const bare = url !== null && url.protocol === 'https:' && url.href === `${url.origin}/`;
  if (bare) return url.origin;
  problems.push({ path, sentence: 'must be https, host and port and nothing else, such as https://127.0.0.1:8006' });
  return '';
};

const fingerprint: Reader<string> = (value, path, problems) => {
  const hex = typeof value === 'string' ? normalizeFingerprint(value) : null;
  if (value === 'auto') return value;
  if (hex !== null) return hex;
  problems.push({ path, sentence: 'must be "auto" or a SHA-256: 64 hexadecimal digits, with or without colons, in quotes' });
  return '';
};

/** YAML reads a bare 0 as a number. */
const compress: Reader<AgentConfig['backup']['compress']> = (value, path, problems) =>
  oneOf(['zstd', 'gzip', 'lzo', '0'] as const)(value === 0 ? '0' : value, path, problems);

const hostId = text(
  'up to 200 letters, digits, dots, dashes, colons and underscores, beginning with a letter or digit',
  (value) => /^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/.test(value),
);
const nodeName = text('"auto" or the name of this node as Proxmox shows it', (value) =>
  /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(value),
);
const storageId = text('the id of a Proxmox storage, as pvesm status lists it', (value) =>
  /^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$/.test(value),
);

/** Part of units' names, of mount tables and of a container's configuration: only what needs no quotes there, and no `.` or `..`. */
const mountRoot = text('an absolute path of letters, digits, dots, dashes and underscores, such as /mnt/felhom', (value) =>
  /^(?=.{2,200}$)(?!\/\.)(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._][A-Za-z0-9._-]*)+$/.test(value),
);

const HOUR_MS = 3_600_000;

/** Whether it is a calendar event at all is Proxmox's to say (`schedule-analyze`); here only what is surely meant differently. */
const schedule: Reader<string> = (value, path, problems) => {
  const written = typeof value === 'number' ? String(value) : value;
  if (typeof written === 'string' && /^\s*\d+\s*$/.test(written)) {
    const hour = written.trim().padStart(2, '0');
    problems.push({
      path,
      sentence: `is a bare number, which Proxmox reads as minutes of every hour; write "${hour}:00" for that hour, or "*:${hour}" for that minute`,
    });
    return '';
  }
  return text('a Proxmox calendar event, such as "04:15", "mon..fri 22:00" or "*/6:00"', (one) =>
    /^(?=.*\S)[A-Za-z0-9*/.,:\- ]{1,128}$/.test(one),
  )(written, path, problems);
};

const minutesOf = (hour: string, minute: string): number => Number(hour) * 60 + Number(minute);

const windowOf: Reader<Window> = (value, path, problems) => {
  const match = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(typeof value === 'string' ? value : '');
  const [, fromHour = '', fromMinute = '', toHour = '', toMinute = ''] = match ?? [];
  const window = { from: minutesOf(fromHour, fromMinute), to: minutesOf(toHour, toMinute) };
  if (match && window.from !== window.to) return window;
  problems.push({ path, sentence: 'must be two different times of day, such as "22:00-06:00"' });
  return { from: 0, to: 0 };
};

const retention: Reader<Retention> = (value, path, problems) => {
  const keep = section(Object.fromEntries(KEEP.map((kind) => [kind, optional<number | null>(integer(0, 100_000), null)])));
  const counts = Object.entries(keep(value, path, problems)).filter(([, count]) => count !== null);
  if (!counts.some(([, count]) => count !== 0))
    problems.push({ path, sentence: 'would keep nothing; write at least one count, such as {keep-daily: 7}' });
  return Object.fromEntries(counts) as Retention;
};

const RULES = {
  mode: oneOf(['snapshot', 'suspend', 'stop'] as const),
  schedule,
  window: windowOf,
  max_age: duration('1s', '3650d'),
};

const guestRules = group({
  mode: optional<GuestRules['mode'] | null>(RULES.mode, null),
  schedule: optional<string | null>(RULES.schedule, null),
  window: optional<Window | null>(RULES.window, null),
  max_age: optional<number | null>(RULES.max_age, null),
});

/** `{"101": {schedule: …}}` */
const guests: Reader<ReadonlyMap<number, Partial<GuestRules>>> = (value, path, problems) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push({
      path,
      sentence: 'must be a mapping of guest numbers to their settings, such as {"101": {schedule: "22:00"}}',
    });
    return new Map();
  }
  const rules = Object.entries(value).map(([vmid, settings]): [number, Partial<GuestRules>] => {
    if (!/^[1-9]\d{2,8}$/.test(vmid)) problems.push({ path: `${path}.${vmid}`, sentence: 'is not the number of a guest' });
    const { max_age, ...read } = guestRules(settings, `${path}.${vmid}`, problems);
    const given = Object.entries({ ...read, maxAgeMs: max_age }).filter(([, one]) => one !== null);
    return [Number(vmid), Object.fromEntries(given)];
  });
  return new Map(rules);
};

const protectEntry = text('"serial:" or "wwn:" and the drive\'s own, as "felhom-agent disks list" shows it', (value) =>
  /^(serial|wwn):\S[^\n]{0,127}$/.test(value),
);

const agentFile = section({
  host_id: optional<string | null>(hostId, null),
  listen,
  state_dir: optional(directory, '/var/lib/felhom-agent'),
  runtime_dir: optional(runtimeDir, '/run/felhom-agent'),
  proxmox: group({
    endpoint: optional(httpsOrigin, 'https://127.0.0.1:8006'),
    fingerprint: optional(fingerprint, 'auto'),
    token_file: optional(absolutePath, '/etc/felhom/proxmox.token'),
    node: optional(nodeName, 'auto'),
    config_dir: optional(directory, '/etc/pve'),
    task_log_dir: optional(directory, '/var/log/pve/tasks'),
    lock_file: optional(absolutePath, '/var/run/vzdump.lock'),
  }),
  backup: group({
    storage: optional(storageId, 'local'),
    mode: optional(RULES.mode, 'snapshot'),
    compress: optional(compress, 'zstd'),
    schedule: optional(RULES.schedule, '04:15'),
    window: optional(RULES.window, { from: 22 * 60, to: 6 * 60 }),
    max_age: optional(RULES.max_age, 36 * HOUR_MS),
    min_interval: optional(duration('0s', '3650d'), HOUR_MS),
    fallback_after: optional(duration('0s', '30d'), HOUR_MS / 2),
    start_preempts: optional(flag, false),
    retention: optional(retention, { 'keep-daily': 7, 'keep-weekly': 4, 'keep-monthly': 6 }),
    guests: optional(guests, new Map()),
  }),
  disks: group({
    mount_root: optional(mountRoot, '/mnt/felhom'),
    filesystems: optional(listOf(oneOf(FILESYSTEMS), { atLeast: 1 }), [...FILESYSTEMS]),
    protect: optional(listOf(protectEntry), []),
    guests: optional<number[] | null>(listOf(integer(100, 999_999_999)), null),
    udev_dir: optional(directory, '/run/udev'),
    loop_drives: optional(listOf(absolutePath), []),
  }),
  opsign: group({
    authorized_keys: optional(absolutePath, '/etc/felhom/opsign.keys'),
    max_age: optional(duration('10m', '30d'), 24 * HOUR_MS),
  }),
  limits: group({
    requests_per_second: optional(integer(1, 1_000_000), 20),
    streams: optional(integer(1, 10_000), 4),
  }),
});

export type ParsedConfig = { ok: true; config: AgentConfig } | { ok: false; problems: SettingProblem[] };

/** The rules of one guest: its own where it has any. */
export const rulesFor = ({ guests, ...rules }: AgentConfig['backup'], vmid: number): Omit<AgentConfig['backup'], 'guests'> => ({
  ...rules,
  ...guests.get(vmid),
});

/** Reads the text of an `agent.yaml`. Finds every problem, not only the first. */
export const parseConfig = (yaml: string): ParsedConfig => {
  const tree = readYaml(yaml);
  if ('problems' in tree) return { ok: false, problems: tree.problems };
  const read = readSettings(agentFile, tree.value);
  if (!read.ok) return read;
  const { host_id, proxmox, backup, disks, opsign, limits, ...rest } = read.settings;
  return {
    ok: true,
    config: {
      hostId: host_id,
      listen: rest.listen,
      stateDir: rest.state_dir,
      runtimeDir: rest.runtime_dir,
      proxmox: {
        endpoint: proxmox.endpoint,
        fingerprint: proxmox.fingerprint,
        tokenFile: proxmox.token_file,
        node: proxmox.node,
        configDir: proxmox.config_dir,
        taskLogDir: proxmox.task_log_dir,
        lockFile: proxmox.lock_file,
      },
      backup: {
        storage: backup.storage,
        mode: backup.mode,
        compress: backup.compress,
        schedule: backup.schedule,
        window: backup.window,
        maxAgeMs: backup.max_age,
        minIntervalMs: backup.min_interval,
        fallbackAfterMs: backup.fallback_after,
        startPreempts: backup.start_preempts,
        retention: backup.retention,
        guests: backup.guests,
      },
      disks: {
        mountRoot: disks.mount_root,
        filesystems: disks.filesystems,
        protect: disks.protect,
        guests: disks.guests,
        udevDir: disks.udev_dir,
        loopDrives: disks.loop_drives,
      },
      opsign: { authorizedKeys: opsign.authorized_keys, maxAgeMs: opsign.max_age },
      limits: { requestsPerSecond: limits.requests_per_second, streams: limits.streams },
    },
  };
};

const readYaml = (yaml: string): { value: unknown } | { problems: SettingProblem[] } => {
  const document = parseDocument(yaml);
  if (document.errors.length > 0) {
    const sentences = document.errors.map(({ message }) => message.split('\n', 1)[0]?.replace(/:$/, '') ?? '');
    return { problems: sentences.map((sentence) => ({ path: '', sentence: `is not YAML: ${sentence}` })) };
  }
  try {
    return { value: document.toJS({ maxAliasCount: 10 }) };
  } catch {
    // Aliases that multiply, or that point nowhere.
    return { problems: [{ path: '', sentence: 'uses YAML aliases that cannot be followed; write the values out' }] };
  }
};

/** One problem as a line for people. */
export const describeProblem = ({ path, sentence }: SettingProblem): string => `${path === '' ? 'the file' : path} ${sentence}`;

/** What a reload changes at once, and which changed keys wait for a restart. */
export const compareConfigs = (before: AgentConfig, after: AgentConfig): { atOnce: string[]; needRestart: string[] } => {
  const changed = (sides: Record<string, [unknown, unknown]>): string[] =>
    Object.entries(sides).flatMap(([name, [a, b]]) => (isDeepStrictEqual(a, b) ? [] : [name]));
  return {
    atOnce: changed({
      backup: [before.backup, after.backup],
      'disks.filesystems': [before.disks.filesystems, after.disks.filesystems],
      'disks.protect': [before.disks.protect, after.disks.protect],
      'disks.guests': [before.disks.guests, after.disks.guests],
      'opsign.max_age': [before.opsign.maxAgeMs, after.opsign.maxAgeMs],
      limits: [before.limits, after.limits],
    }),
    needRestart: changed({
      host_id: [before.hostId, after.hostId],
      listen: [before.listen, after.listen],
      state_dir: [before.stateDir, after.stateDir],
      runtime_dir: [before.runtimeDir, after.runtimeDir],
      proxmox: [before.proxmox, after.proxmox],
      'disks.mount_root': [before.disks.mountRoot, after.disks.mountRoot],
      'disks.udev_dir': [before.disks.udevDir, after.disks.udevDir],
      'opsign.authorized_keys': [before.opsign.authorizedKeys, after.opsign.authorizedKeys],
      'disks.loop_drives': [before.disks.loopDrives, after.disks.loopDrives],
    }),
  };
};
