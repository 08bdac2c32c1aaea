/** `agent.yaml`: its defaults, and how each mistake is told. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type AgentConfig, compareConfigs, describeProblem, parseConfig, rulesFor } from '#agent/config';

const HOUR_MS = 3_600_000;
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
      lockFile: '/var/run/vzdump.lock',
    },
    backup: {
      storage: 'local',
      mode: 'snapshot',
      compress: 'zstd',
      schedule: '04:15',
      window: { from: 22 * 60, to: 6 * 60 },
      maxAgeMs: 36 * HOUR_MS,
      minIntervalMs: HOUR_MS,
      fallbackAfterMs: HOUR_MS / 2,
      startPreempts: false,
      retention: { 'keep-daily': 7, 'keep-weekly': 4, 'keep-monthly': 6 },
      guests: new Map(),
    },
    disks: {
      mountRoot: '/mnt/felhom',
      filesystems: ['ext4', 'xfs', 'btrfs', 'exfat'],
      protect: [],
      guests: null,
      udevDir: '/run/udev',
      loopDrives: [],
    },
    opsign: { authorizedKeys: '/etc/felhom/opsign.keys', maxAgeMs: 24 * HOUR_MS },
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
proxmox: {endpoint: "https://[::1]:8006/", fingerprint: "${'AB:'.repeat(31)}AB", token_file: /t, node: n1, config_dir: /c, task_log_dir: /l, lock_file: /k}
backup:
  storage: usb-backup
  mode: stop
  compress: 0
  schedule: "mon..fri 22:00"
  window: "06:30-21:45"
  max_age: 7d
  min_interval: 0s
  fallback_after: 0s
  start_preempts: true
  retention: {keep-last: 3, keep-hourly: 0, keep-daily: 1, keep-weekly: 2, keep-monthly: 4, keep-yearly: 5}
  guests:
    "101": {schedule: "*/6:00", mode: suspend, window: "00:00-23:59", max_age: 1h}
    102:
disks:
  mount_root: /srv/felhom/.demo/mnt
  filesystems: [ext4]
  protect: ["serial:WD-WCC4N0 12", "wwn:0x5000c500a1b2c3d4"]
  guests: [101, 102]
  udev_dir: /a/udev/
  loop_drives: [/a/b.img]
opsign: {authorized_keys: /k/keys, max_age: 30d}
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
      lockFile: '/k',
    },
    backup: {
      storage: 'usb-backup',
      mode: 'stop',
      compress: '0',
      schedule: 'mon..fri 22:00',
      window: { from: 6 * 60 + 30, to: 21 * 60 + 45 },
      maxAgeMs: 7 * 24 * HOUR_MS,
      minIntervalMs: 0,
      fallbackAfterMs: 0,
      startPreempts: true,
      retention: { 'keep-last': 3, 'keep-hourly': 0, 'keep-daily': 1, 'keep-weekly': 2, 'keep-monthly': 4, 'keep-yearly': 5 },
      guests: new Map([
        [101, { schedule: '*/6:00', mode: 'suspend', window: { from: 0, to: 23 * 60 + 59 }, maxAgeMs: HOUR_MS }],
        [102, {}],
      ]),
    },
    disks: {
      mountRoot: '/srv/felhom/.demo/mnt',
      filesystems: ['ext4'],
      protect: ['serial:WD-WCC4N0 12', 'wwn:0x5000c500a1b2c3d4'],
      guests: [101, 102],
      udevDir: '/a/udev',
      loopDrives: ['/a/b.img'],
    },
    opsign: { authorizedKeys: '/k/keys', maxAgeMs: 30 * 24 * HOUR_MS },
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
  ['a relative mount root', `${LISTEN}disks: {mount_root: mnt/felhom}`, /^disks\.mount_root must be an absolute path/],
  ['a mount root that goes back', `${LISTEN}disks: {mount_root: /mnt/../etc}`, /^disks\.mount_root must be an absolute path/],
  ['a mount root that stays', `${LISTEN}disks: {mount_root: /mnt/./felhom}`, /^disks\.mount_root must be an absolute path/],
  ['a mount root with a slash too many', `${LISTEN}disks: {mount_root: /mnt/felhom/}`, /^disks\.mount_root must be/],
  ['a mount root with a space', `${LISTEN}disks: {mount_root: "/mnt/my drives"}`, /^disks\.mount_root must be/],
  ['a mount root that a unit would expand', `${LISTEN}disks: {mount_root: "/mnt/%n"}`, /^disks\.mount_root must be/],
  ['a hidden directory of the root', `${LISTEN}disks: {mount_root: /.felhom}`, /^disks\.mount_root must be/],
  ['the whole host', `${LISTEN}disks: {mount_root: /}`, /^disks\.mount_root must be an absolute path/],
  ['a mount root as long as a path', `${LISTEN}disks: {mount_root: /${'m'.repeat(200)}}`, /^disks\.mount_root must be/],
  ['a file system that felhom does not mount', `${LISTEN}disks: {filesystems: [vfat]}`, /^disks\.filesystems\[0\] must be/],
  ['no file system at all', `${LISTEN}disks: {filesystems: []}`, /^disks\.filesystems must be a list/],
  ['a drive by its name', `${LISTEN}disks: {protect: [sdb]}`, /^disks\.protect\[0\] must be "serial:" or "wwn:"/],
  ['a drive without its serial', `${LISTEN}disks: {protect: ["serial:"]}`, /^disks\.protect\[0\] must be/],
  ['a guest of drives by name', `${LISTEN}disks: {guests: [web]}`, /^disks\.guests\[0\] must be a whole number/],
  ['a short wait for signatures', `${LISTEN}opsign: {max_age: 1m}`, /^opsign\.max_age /],
  ['keys at a relative path', `${LISTEN}opsign: {authorized_keys: keys}`, /^opsign\.authorized_keys must be an absolute path/],
  ['metrics', `${LISTEN}metrics: {}`, /^metrics there is no such key/],
  ['a section that is a text', `${LISTEN}backup: daily`, /^backup must be a mapping/],
  ['http', `${LISTEN}proxmox: {endpoint: "http://127.0.0.1:8006"}`, /^proxmox\.endpoint must be https/],
  ['a path behind the port', `${LISTEN}proxmox: {endpoint: "https://127.0.0.1:8006/api2"}`, /^proxmox\.endpoint must be https/],
  ['a password in the URL', `${LISTEN}proxmox: {endpoint: "https://root:hush@127.0.0.1"}`, /^proxmox\.endpoint (?!.*hush)/],
  ['half a fingerprint', `${LISTEN}proxmox: {fingerprint: abcd}`, /^proxmox\.fingerprint must be "auto" or a SHA-256/],
  ['a relative path', `${LISTEN}state_dir: var`, /^state_dir must be an absolute path/],
  ['a bare number', `${LISTEN}backup: {max_age: 36}`, /^backup\.max_age must be a duration.*30s or 5m/],
  ['a unit that is none', `${LISTEN}backup: {min_interval: 1y}`, /^backup\.min_interval must be a duration/],
  ['never due', `${LISTEN}backup: {max_age: 0s}`, /^backup\.max_age must be a duration/],
  [
    'a schedule that is a bare number',
    `${LISTEN}backup: {schedule: 4}`,
    /^backup\.schedule is a bare number.*minutes of every hour.*"04:00"/,
  ],
  ['a schedule that is a number in quotes', `${LISTEN}backup: {schedule: " 15 "}`, /^backup\.schedule is a bare number.*"15:00"/],
  ['an empty schedule', `${LISTEN}backup: {schedule: " "}`, /^backup\.schedule must be a Proxmox calendar event/],
  ['a schedule with a shell in it', `${LISTEN}backup: {schedule: "04:15; reboot"}`, /^backup\.schedule must be/],
  ['a window of one time', `${LISTEN}backup: {window: "22:00"}`, /^backup\.window must be two different times/],
  ['a window of no length', `${LISTEN}backup: {window: "22:00-22:00"}`, /^backup\.window must be two different times/],
  ['a window past midnight by its number', `${LISTEN}backup: {window: "22:00-24:00"}`, /^backup\.window must be/],
  ['a fallback without a unit', `${LISTEN}backup: {fallback_after: 30}`, /^backup\.fallback_after must be a duration/],
  ['a word for a flag', `${LISTEN}backup: {start_preempts: "yes"}`, /^backup\.start_preempts must be true or false/],
  ['a retention that keeps nothing', `${LISTEN}backup: {retention: {keep-daily: 0}}`, /^backup\.retention would keep nothing/],
  ['an empty retention', `${LISTEN}backup: {retention: {}}`, /^backup\.retention would keep nothing/],
  [
    'a retention of an unknown kind',
    `${LISTEN}backup: {retention: {keep-dayly: 7}}`,
    /^backup\.retention\.keep-dayly .*did you mean "keep-daily"/,
  ],
  ['keep-all', `${LISTEN}backup: {retention: {keep-all: 1}}`, /^backup\.retention\.keep-all there is no such key/],
  ['a negative count', `${LISTEN}backup: {retention: {keep-last: -1}}`, /^backup\.retention\.keep-last must be a whole number/],
  ['a list of guests', `${LISTEN}backup: {guests: [101]}`, /^backup\.guests must be a mapping/],
  ['a guest by name', `${LISTEN}backup: {guests: {web: {}}}`, /^backup\.guests\.web is not the number of a guest/],
  [
    'a guest with a key that is not its own',
    `${LISTEN}backup: {guests: {"101": {storage: x}}}`,
    /^backup\.guests\.101\.storage there is no such key/,
  ],
  [
    "a guest's bad schedule",
    `${LISTEN}backup: {guests: {"101": {schedule: 4}}}`,
    /^backup\.guests\.101\.schedule is a bare number/,
  ],
  ['a relative lock file', `${LISTEN}proxmox: {lock_file: x}`, /^proxmox\.lock_file must be an absolute path/],
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

test("a guest's own rules come before those of the host, and only for what it names", () => {
  const { backup } = good(`${LISTEN}backup: {mode: stop, schedule: "22:00", guests: {"101": {schedule: "*/6:00", max_age: 8h}}}`);
  expect(rulesFor(backup, 101)).toMatchObject({ mode: 'stop', schedule: '*/6:00', maxAgeMs: 8 * HOUR_MS, storage: 'local' });
  expect(rulesFor(backup, 102)).toMatchObject({ mode: 'stop', schedule: '22:00', maxAgeMs: 36 * HOUR_MS });
});

test('a reload knows what it changes at once and what waits', () => {
  const before = good(LISTEN);
  expect(compareConfigs(before, before)).toEqual({ atOnce: [], needRestart: [] });
  const after = good(`${LISTEN}state_dir: /x\nlimits: {streams: 5}\nproxmox: {node: other}`);
  expect(compareConfigs(before, after)).toEqual({ atOnce: ['limits'], needRestart: ['state_dir', 'proxmox'] });
  const guests = good(`${LISTEN}backup: {guests: {"101": {schedule: "22:00"}}}`);
  expect(compareConfigs(before, guests)).toEqual({ atOnce: ['backup'], needRestart: [] });
  const drives = good(`${LISTEN}disks: {protect: ["serial:A"], guests: [101], filesystems: [xfs], mount_root: /srv/felhom}`);
  expect(compareConfigs(before, drives)).toEqual({
    atOnce: ['disks.filesystems', 'disks.protect', 'disks.guests'],
    needRestart: ['disks.mount_root'],
  });
});
