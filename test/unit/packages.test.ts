/** .ci/packages before `npm test`: no daemon is started by it, nothing of the administrator's is changed, and no run fails. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../.ci/packages', import.meta.url));
const POLICY = 'usr/sbin/policy-rc.d';
const CLUSTER = 'etc/postgresql-common/createcluster.conf';
const MARK = '# Made by felhom .ci/packages for the time of an installation; can be deleted.';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** An empty system below a directory, and programs that write down how they were called. */
const setup = ({ uid = 0, files = {}, apt = 'exit 0' }: { uid?: number; files?: Record<string, string>; apt?: string } = {}) => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-packages-'));
  dirs.push(dir);
  const path = (name: string) => join(dir, name);
  const write = (name: string, text: string) => {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), text);
    chmodSync(path(name), 0o755);
  };
  for (const directory of ['run', 'usr/sbin', 'bin']) mkdirSync(path(directory), { recursive: true });
  for (const [name, text] of Object.entries(files)) write(name, text);
  write('bin/id', `#!/bin/sh\necho ${uid}\n`);
  for (const name of ['systemctl', 'useradd']) write(`bin/${name}`, `#!/bin/sh\necho "${name} $*" >> ${dir}/calls\n`);
  write('bin/getent', '#!/bin/sh\nexit 2\n');
  write(
    'bin/apt-get',
    `#!/bin/sh\ncd ${dir}\necho "apt-get $*" >> calls\n` +
      `[ -x ${POLICY} ] && { ./${POLICY}; echo "policy $?" >> calls; }\ngrep -s create_main ${CLUSTER} >> calls\n${apt}\n`,
  );
  const { status, stdout, stderr } = spawnSync('sh', [SCRIPT, dir], {
    env: { PATH: `${dir}/bin:/usr/bin:/bin:/usr/sbin:/sbin` },
    encoding: 'utf8',
  });
  const calls = existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').trim().split('\n') : [];
  const read = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), 'utf8') : null);
  return { status, stdout, stderr, calls, read };
};

/** Every program but Redis. */
const ALL_BUT_REDIS = Object.fromEntries(
  [
    'usr/sbin/mkfs.btrfs',
    'usr/bin/zstd',
    'usr/sbin/mkfs.ext4',
    'usr/bin/unshare',
    'usr/bin/perl',
    'usr/lib/postgresql/17/bin/initdb',
    'usr/sbin/mariadbd',
    'usr/bin/mariadb-check',
    'usr/bin/systemd-nspawn',
    'usr/bin/lxc-start',
    ...['sfdisk', 'mkfs.xfs', 'mkfs.exfat', 'mkfs.vfat', 'mkfs.ntfs', 'pvcreate'].map((name) => `usr/sbin/${name}`),
  ].map((name) => [name, '']),
);

test('nothing is missing: nothing is said or done', () => {
  const run = setup({ files: { ...ALL_BUT_REDIS, 'usr/bin/redis-server': '' } });
  expect(run).toMatchObject({ status: 0, stdout: '', stderr: '', calls: [] });
});

test('only what is missing is installed, and its unit is disabled', () => {
  const run = setup({ files: ALL_BUT_REDIS });
  expect(run.stdout).toBe('installing for the tests: redis-server\n');
  expect(run.calls[0]).toMatch(/install -y --no-install-recommends redis-server$/);
  expect(run.calls.at(-1)).toBe('systemctl disable redis-server');
  expect(run.calls.filter((call) => call.startsWith('systemctl'))).toHaveLength(1);
});

test.each([
  ['usr/bin/lxc-start', 'lxc', ['lxc', 'lxc-net', 'lxc-monitord']],
  ['usr/sbin/pvcreate', 'lvm2', ['lvm2-monitor', 'blk-availability', 'lvm2-lvmpolld.socket', 'dm-event.socket']],
])('where %s is missing every unit of %s is disabled', (program, name, units) => {
  const files: Record<string, string> = { ...ALL_BUT_REDIS, 'usr/bin/redis-server': '' };
  delete files[program];
  const run = setup({ files });
  expect(run.stdout).toBe(`installing for the tests: ${name}\n`);
  expect(run.calls.filter((call) => call.startsWith('systemctl'))).toEqual(units.map((unit) => `systemctl disable ${unit}`));
});

test('while it installs no daemon may start and no cluster is made; afterwards both files are gone', () => {
  const run = setup();
  expect(run.calls).toContain('policy 101');
  expect(run.calls).toContain('create_main_cluster = false');
  expect([run.read(POLICY), run.read(CLUSTER)]).toEqual([null, null]);
});

test('the account that the server of MariaDB runs as is made with it', () => {
  expect(setup().calls.find((call) => call.startsWith('useradd'))).toMatch(/--system .* mysql$/);
});

test("the administrator's files stay as they are", () => {
  const files = { [POLICY]: '#!/bin/sh\nexit 0\n', [CLUSTER]: 'create_main_cluster = true\n' };
  const run = setup({ files });
  expect([run.read(POLICY), run.read(CLUSTER)]).toEqual(Object.values(files));
  expect(run.calls).toContain('policy 0');
});

test('what a killed run left behind is taken away, also when nothing is missing any more', () => {
  const files = { ...ALL_BUT_REDIS, 'usr/bin/redis-server': '', [POLICY]: `#!/bin/sh\n${MARK}\nexit 101\n` };
  expect(setup({ files }).read(POLICY)).toBeNull();
});

test('what cannot be installed is a note, and the tests go on; lists are fetched only then', () => {
  const run = setup({ apt: "echo 'E: Unable to locate package zstd'; exit 100" });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  expect(run.stdout).toContain('apt-get says: E: Unable to locate package zstd');
  expect(run.calls.filter((call) => call.endsWith(' update'))).toHaveLength(1);
  expect(run.read(POLICY)).toBeNull();
});

test('an ordinary user gets one line', () => {
  const run = setup({ uid: 1000, files: ALL_BUT_REDIS });
  expect(run).toMatchObject({ status: 0, stderr: '', calls: [] });
  expect(run.stdout).toBe('note: tests that need these Debian packages are skipped: redis-server\n');
});
