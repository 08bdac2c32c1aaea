/** `agent.yaml`, read and checked: every key but `listen` has a default, an unknown key or a bad value stops the start. */
import { isIP } from 'node:net';
import { parseDocument } from 'yaml';
import { normalizeFingerprint } from '#shared/pin';
import {
  absolutePath,
  duration,
  listOf,
  oneOf,
  optional,
  type Reader,
  readSettings,
  type SettingProblem,
  section,
  text,
} from '#shared/settings';

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
  };
  backup: {
    storage: string;
    mode: 'snapshot' | 'suspend' | 'stop';
    compress: 'zstd' | 'gzip' | 'lzo' | '0';
    maxAgeMs: number;
    minIntervalMs: number;
  };
  limits: { requestsPerSecond: number; streams: number };
}

/** Linux's limit for a Unix socket's path, without its closing zero (unix(7)). */
const SOCKET_PATH_BYTES = 107;

export const adminSocketPath = (runtimeDir: string): string => `${runtimeDir}/admin.sock`;

export const fitsSocket = (runtimeDir: string): boolean => Buffer.byteLength(adminSocketPath(runtimeDir)) <= SOCKET_PATH_BYTES;

const integer =
  (least: number, most: number): Reader<number> =>
  (value, path, problems) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    problems.push({ path, sentence: `must be a whole number from ${least} to ${most}, without quotes` });
    return least;
  };

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

const HOUR_MS = 3_600_000;

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
  }),
  backup: group({
    storage: optional(storageId, 'local'),
    mode: optional(oneOf(['snapshot', 'suspend', 'stop'] as const), 'snapshot'),
    compress: optional(compress, 'zstd'),
    max_age: optional(duration('1s', '3650d'), 36 * HOUR_MS),
    min_interval: optional(duration('0s', '3650d'), HOUR_MS),
  }),
  limits: group({
    requests_per_second: optional(integer(1, 1_000_000), 20),
    streams: optional(integer(1, 10_000), 4),
  }),
});

export type ParsedConfig = { ok: true; config: AgentConfig } | { ok: false; problems: SettingProblem[] };

/** Reads the text of an `agent.yaml`. Finds every problem, not only the first. */
export const parseConfig = (yaml: string): ParsedConfig => {
  const tree = readYaml(yaml);
  if ('problems' in tree) return { ok: false, problems: tree.problems };
  const read = readSettings(agentFile, tree.value);
  if (!read.ok) return read;
  const { host_id, proxmox, backup, limits, ...rest } = read.settings;
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
      },
      backup: {
        storage: backup.storage,
        mode: backup.mode,
        compress: backup.compress,
        maxAgeMs: backup.max_age,
        minIntervalMs: backup.min_interval,
      },
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
    Object.entries(sides).flatMap(([name, [a, b]]) => (JSON.stringify(a) === JSON.stringify(b) ? [] : [name]));
  return {
    atOnce: changed({ backup: [before.backup, after.backup], limits: [before.limits, after.limits] }),
    needRestart: changed({
      host_id: [before.hostId, after.hostId],
      listen: [before.listen, after.listen],
      state_dir: [before.stateDir, after.stateDir],
      runtime_dir: [before.runtimeDir, after.runtimeDir],
      proxmox: [before.proxmox, after.proxmox],
    }),
  };
};
