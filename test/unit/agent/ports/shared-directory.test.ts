import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSharedDirectories, stateIn } from '#agent/ports/shared-directory';

const PLACE = '/mnt/felhom/.guests/101';
const line = (fields: string, point = PLACE) => `44 27 0:43 / ${point} rw,nosuid ${fields}- tmpfs felhom rw`;

test.each([
  ['absent', ''],
  ['absent', line('shared:2 ', `${PLACE}/photos`)],
  ['private', line('')],
  ['private', line('master:7 ')],
  ['shared', line('shared:12 ')],
  ['shared', line('shared:12 master:7 ')],
  ['shared', line('master:7 shared:12 ')],
  ['private', `${line('shared:12 ')}\n${line('')}`],
])('%s', (state, mountinfo) => {
  expect(stateIn(`27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n${mountinfo}\n`, PLACE)).toBe(state);
});

// What follows writes directories that must be root's.
const withoutRoot = process.getuid?.() !== 0;
let dir = '';
let mounted: string[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-shared-'));
  chmodSync(dir, 0o755);
  mounted = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** systemd as it behaves; `startsWith` is the propagation that a new mount gets. */
const setup = ({ systemd = true, startsWith = 'shared:9 ' } = {}) => {
  const calls: string[] = [];
  const path = join(dir, 'open/.guests/101');
  mkdirSync(join(dir, 'open'), { mode: 0o755 });
  mkdirSync(join(dir, 'units'));
  const mountinfo = async () => mounted.join('\n');
  const directories = createSharedDirectories({
    unitDir: systemd ? join(dir, 'units') : null,
    proc: { mountinfo, mountinfoOf: mountinfo },
    run: async (name, args) => {
      calls.push(
        [name, ...args.filter((one) => !one.includes('size='))]
          .join(' ')
          .replaceAll(path, 'PATH')
          .replace(/\S*guests-101.mount/, 'UNIT'),
      );
      if (name === 'mount' && args.includes('--make-shared')) mounted = [line('shared:9 ', path)];
      else if (name === 'mount' || args[0] === 'start') mounted = [line(startsWith, path)];
      if (name === 'umount' || args[0] === 'stop') mounted = [];
      return '';
    },
  });
  return { directories, calls, path };
};

test.skipIf(withoutRoot)('a unit is written, enabled and started, once', async () => {
  const { directories, calls, path } = setup();
  await directories.ensure(path);
  const started = ['systemctl daemon-reload', 'systemctl --quiet enable UNIT', 'systemctl start UNIT'];
  expect(calls).toEqual(started);
  await directories.ensure(path);
  expect(calls).toEqual(started);
  const unit = readFileSync(join(dir, 'units', `${path.slice(1).replaceAll('-', '\\x2d').replaceAll('/', '-')}.mount`), 'utf8');
  expect(readdirSync(join(dir, 'units')).map((name) => statSync(join(dir, 'units', name)).mode & 0o777)).toEqual([0o644]);
  expect(unit).toMatch(/^# felhom-agent writes this file /);
  expect(unit).toContain(`Where=${path}\nType=tmpfs\n`);
  await directories.remove(path);
  expect(calls.slice(3)).toEqual(['systemctl stop UNIT', 'systemctl --quiet disable UNIT', 'systemctl daemon-reload']);
  expect(existsSync(path)).toBe(false);
  await directories.remove(path);
  expect(calls).toHaveLength(6);
});

test.skipIf(withoutRoot)('what does not propagate is no directory for a guest', async () => {
  const { directories, path } = setup({ startsWith: '' });
  await expect(directories.ensure(path)).rejects.toThrow(/not shared/);
});

test.skipIf(withoutRoot)('without systemd it is mounted here, and made shared where it is not', async () => {
  const { directories, calls, path } = setup({ systemd: false, startsWith: '' });
  await directories.ensure(path);
  await directories.ensure(path);
  expect(calls).toEqual(['mount -t tmpfs -o felhom PATH', 'mount --make-shared PATH']);
  await directories.remove(path);
  expect(calls.slice(2)).toEqual(['umount PATH']);
});

test.skipIf(withoutRoot)(
  'nothing is mounted below what others than root can change, or where a container’s root cannot pass',
  async () => {
    const { directories, calls, path } = setup();
    const open = join(dir, 'open');
    chmodSync(open, 0o700);
    await expect(directories.ensure(path)).rejects.toThrow(/closed to the root of unprivileged containers/);
    chmodSync(open, 0o777);
    await expect(directories.ensure(path)).rejects.toThrow(/only root can change/);
    chmodSync(open, 0o755);
    chownSync(open, 1000, 0);
    await expect(directories.ensure(path)).rejects.toThrow(/only root can change/);
    rmSync(open, { recursive: true });
    mkdirSync(join(dir, 'elsewhere'));
    symlinkSync(join(dir, 'elsewhere'), open);
    await expect(directories.ensure(path)).rejects.toThrow(/only root can change/);
    expect(calls).toEqual([]);
  },
);
