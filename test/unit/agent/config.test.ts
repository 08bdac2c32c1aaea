/** `agent.yaml`: its defaults, and how each mistake is told. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type AgentConfig, compareConfigs, describeProblem, parseConfig } from '#agent/config';

const LISTEN = 'listen: [{address: 10.10.10.1, port: 8443}]\n';

const good = (yaml: string): AgentConfig => {
  const parsed = parseConfig(yaml);
  if (!parsed.ok) throw new Error(parsed.problems.map(describeProblem).join('\n'));
  return parsed.config;
};

const problems = (yaml: string): string[] => {
  const parsed = parseConfig(yaml);
  return parsed.ok ? [] : parsed.problems.map(describeProblem);
};

test('everything but `listen` has a default', () => {
  expect(good(LISTEN)).toEqual({
    hostId: null,
    listen: [{ address: '10.10.10.1', port: 8443 }],
    stateDir: '/var/lib/felhom-agent',
    runtimeDir: '/run/felhom-agent',
    proxmox: {
      endpoint: 'https://127.0.0.1:8006',
      fingerprint: 'auto',
      tokenFile: '/etc/felhom/proxmox.token',
      node: 'auto',
      configDir: '/etc/pve',
      taskLogDir: '/var/log/pve/tasks',
    },
    backup: { storage: 'local', mode: 'snapshot', compress: 'zstd', maxAgeMs: 36 * 3_600_000, minIntervalMs: 3_600_000 },
    limits: { requestsPerSecond: 20, streams: 4 },
  });
});

test('the example that ships is good, and shows the defaults', () => {
  const example = readFileSync(new URL('../../../systemd/examples/agent.yaml', import.meta.url), 'utf8');
  expect(good(example)).toEqual(good(LISTEN));
});

test('every key reaches its place', () => {
  const config = good(`
host_id: pve1-k3v7q2m5xw8r4t6y9zbc
listen:
  - {address: "fd00::1", port: 1}
  - {address: 0.0.0.0, port: 65535, allow_wildcard: true}
state_dir: /a/
runtime_dir: /b
proxmox: {endpoint: "https://[::1]:8006/", fingerprint: "${'AB:'.repeat(31)}AB", token_file: /t, node: n1, config_dir: /c, task_log_dir: /l}
backup: {storage: usb-backup, mode: stop, compress: 0, max_age: 7d, min_interval: 0s}
limits: {requests_per_second: 100000, streams: 1}
`);
  expect(config).toMatchObject({
    hostId: 'pve1-k3v7q2m5xw8r4t6y9zbc',
    listen: [
      { address: 'fd00::1', port: 1 },
      { address: '0.0.0.0', port: 65_535 },
    ],
    stateDir: '/a',
    proxmox: {
      endpoint: 'https://[::1]:8006',
      fingerprint: 'ab'.repeat(32),
      tokenFile: '/t',
      node: 'n1',
      configDir: '/c',
      taskLogDir: '/l',
    },
    backup: { storage: 'usb-backup', mode: 'stop', compress: '0', maxAgeMs: 7 * 86_400_000, minIntervalMs: 0 },
    limits: { requestsPerSecond: 100_000, streams: 1 },
  });
});

test.each<[string, string, RegExp]>([
  ['no listen', 'state_dir: /a', /^listen is missing; write .*8443/],
  ['an empty file', '', /^listen is missing/],
  ['an empty listen', 'listen: []', /^listen must be a list/],
  ['a name for an address', 'listen: [{address: bridge, port: 1}]', /^listen\[0\]\.address must be .*10\.10\.10\.1/],
  ['no port', 'listen: [{address: 10.0.0.1}]', /^listen\[0\]\.port must be a whole number from 1 to 65535/],
  ['port 0', 'listen: [{address: 10.0.0.1, port: 0}]', /^listen\[0\]\.port /],
  ['a port in quotes', 'listen: [{address: 10.0.0.1, port: "8443"}]', /^listen\[0\]\.port .*without quotes/],
  ['a wildcard', 'listen: [{address: 0.0.0.0, port: 1}]', /^listen\[0\]\.address is a wildcard.*allow_wildcard: true/],
  ['a wildcard of IPv6', 'listen: [{address: "::", port: 1}]', /^listen\[0\]\.address is a wildcard/],
  ['a wildcard in disguise', 'listen: [{address: "0:0::0", port: 1}]', /^listen\[0\]\.address is a wildcard/],
  ['the same twice', 'listen: [{address: 10.0.0.1, port: 1}, {address: 10.0.0.1, port: 1}]', /^listen\[1\] repeats listen\[0\]/],
  ['a typo', `${LISTEN}stat_dir: /a`, /^stat_dir .*did you mean "state_dir"/],
  ['a typo in a section', `${LISTEN}backup: {maxage: 36h}`, /^backup\.maxage .*did you mean "max_age"/],
  ['a typo in listen', 'listen: [{adress: 10.0.0.1, port: 1}]', /^listen\[0\]\.adress .*did you mean "address"/],
  ['a key that means nothing', `${LISTEN}telemetry: true`, /^telemetry there is no such key/],
  ['schedule', `${LISTEN}backup: {schedule: "04:15"}`, /^backup\.schedule there is no such key/],
  ['retention', `${LISTEN}backup: {retention: {keep-daily: 7}}`, /^backup\.retention there is no such key/],
  ['disks', `${LISTEN}disks: {mount_root: /mnt/felhom}`, /^disks there is no such key/],
  ['opsign', `${LISTEN}opsign: {max_age: 24h}`, /^opsign there is no such key/],
  ['metrics', `${LISTEN}metrics: {}`, /^metrics there is no such key/],
  ['lock_file', `${LISTEN}proxmox: {lock_file: /x}`, /^proxmox\.lock_file there is no such key/],
  ['a section that is a text', `${LISTEN}backup: daily`, /^backup must be a mapping/],
  ['http', `${LISTEN}proxmox: {endpoint: "http://127.0.0.1:8006"}`, /^proxmox\.endpoint must be https/],
  ['a path behind the port', `${LISTEN}proxmox: {endpoint: "https://127.0.0.1:8006/api2"}`, /^proxmox\.endpoint must be https/],
  ['a password in the URL', `${LISTEN}proxmox: {endpoint: "https://root:hush@127.0.0.1"}`, /^proxmox\.endpoint (?!.*hush)/],
  ['half a fingerprint', `${LISTEN}proxmox: {fingerprint: abcd}`, /^proxmox\.fingerprint must be "auto" or a SHA-256/],
  ['a relative path', `${LISTEN}state_dir: var`, /^state_dir must be an absolute path/],
  ['a bare number', `${LISTEN}backup: {max_age: 36}`, /^backup\.max_age must be a duration.*30s or 5m/],
  ['a unit that is none', `${LISTEN}backup: {min_interval: 1y}`, /^backup\.min_interval must be a duration/],
  ['never due', `${LISTEN}backup: {max_age: 0s}`, /^backup\.max_age must be a duration/],
  ['a mode that is none', `${LISTEN}backup: {mode: snapshots}`, /^backup\.mode must be .*did you mean "snapshot"/],
  ['a storage that is a path', `${LISTEN}backup: {storage: /mnt/usb}`, /^backup\.storage must be the id/],
  ['no requests', `${LISTEN}limits: {requests_per_second: 0}`, /^limits\.requests_per_second must be a whole number from 1/],
  ['a fraction of a stream', `${LISTEN}limits: {streams: 1.5}`, /^limits\.streams must be a whole number/],
  ['a host id with a space', `${LISTEN}host_id: my host`, /^host_id must be/],
  [
    'a runtime_dir that no socket fits in',
    `${LISTEN}runtime_dir: /${'r'.repeat(100)}`,
    /^runtime_dir makes .*107 bytes; name a shorter/,
  ],
  ['no YAML', 'listen: [', /^the file is not YAML: /],
  ['a key twice', `${LISTEN}state_dir: /a\nstate_dir: /b`, /^the file is not YAML: .*unique/],
  ['a list', '- a', /must be a mapping/],
  ['aliases that multiply', `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]`, /aliases/],
])('%s is told', (_what, yaml, sentence) => {
  expect(problems(yaml)).toEqual(expect.arrayContaining([expect.stringMatching(sentence)]));
});

test('all problems are told at once', () => {
  expect(problems('listen: [{address: 0.0.0.0, port: 0}]\nfoo: 1\nbackup: {max_age: 1, mode: x}')).toHaveLength(5);
});

test('a reload knows what it changes at once and what waits', () => {
  const before = good(LISTEN);
  expect(compareConfigs(before, before)).toEqual({ atOnce: [], needRestart: [] });
  const after = good(`${LISTEN}state_dir: /x\nlimits: {streams: 5}\nproxmox: {node: other}`);
  expect(compareConfigs(before, after)).toEqual({ atOnce: ['limits'], needRestart: ['state_dir', 'proxmox'] });
});
