/** `npm run demo` as its user meets it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { closedKeyIn, openKey } from '#opsign/keys';
import { leftOf, type RunningDemo, removeDemo, startDemo } from './demo.ts';

let demo: RunningDemo | undefined;
afterEach(async () => {
  demo?.child.kill('SIGKILL');
  await demo?.ended;
  if (demo) await removeDemo(demo);
  demo = undefined;
});

/** Processes of this machine whose command line names the directory. */
const processesOf = (dir: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir);
      } catch {
        return false;
      }
    });

test('--once takes one backup, prints the result and ends with status 0', { timeout: 120_000 }, async () => {
  demo = startDemo(['--once']);
  expect(await demo.ended, demo.output()).toBe(0);
  expect(demo.output()).toContain('felhom demo is ready');
  expect(demo.output()).toMatch(/Backup done: usb-backup:backup\/vzdump-lxc-101-\S+\.tar\.zst, \d+ bytes, label "app"/);
  expect(demo.output()).toMatch(/^ {2}notes {17}held for \d+\.\d s; counts as consistent$/m);
  expect(demo.output()).toContain('Verified: the agent has read the archive to its end, and it is whole.');
  expect(demo.output()).toMatch(/^ {2}verified {14}yes, .*: read to its end and whole$/m);
  expect(processesOf(demo.dir)).toEqual([]);
  expect(leftOf(demo.dir)).toEqual([]);
});

test('Ctrl-C ends it, with every process it started; demo.json has what others read', { timeout: 120_000 }, async () => {
  demo = startDemo(['--guests', '3']);
  await demo.printed('felhom demo is ready');
  const written = JSON.parse(readFileSync(join(demo.dir, 'demo.json'), 'utf8'));
  expect(written).toEqual({
    pve: {
      endpoint: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      node: 'pve1',
      token: expect.stringMatching(/^felhom@pve!pve1=[0-9a-f-]{36}$/),
    },
    agent: {
      endpoint: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      config: expect.stringMatching(/agent\.yaml$/),
    },
    guests: [101, 102, 103].map((vmid) => ({
      vmid,
      token: expect.stringMatching(new RegExp(`^fht_${vmid}_`)),
      bootstrap: expect.any(String),
    })),
    controller: { url: null },
    devices: {
      system: expect.stringMatching(/^[a-z0-9]+$/),
      backup: expect.stringMatching(/^[a-z0-9]+$/),
      user_data: [expect.stringMatching(/^[a-z0-9]+$/), expect.stringMatching(/^[a-z0-9]+$/)],
      blank: expect.stringMatching(/^[a-z0-9]+$/),
    },
    mount_root: expect.stringMatching(/^\/.*mnt$/),
    opsign: {
      key: expect.stringMatching(/opsign\.key$/),
      passphrase_file: expect.any(String),
      host: expect.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-z]{20}$/),
    },
  });
  const closed = closedKeyIn(readFileSync(written.opsign.key, 'utf8'), 'the key');
  const passphrase = readFileSync(written.opsign.passphrase_file, 'utf8').trimEnd();
  expect(await openKey(closed, passphrase, 'the key')).toMatchObject({ name: 'demo-operator' });
  for (const { bootstrap } of written.guests) expect(existsSync(bootstrap)).toBe(true);
  expect(processesOf(demo.dir).length).toBeGreaterThanOrEqual(3);
  await demo.printed('The demo stays up.');
  // On the backup drive, which goes with the demo.
  const dump = join(demo.dir, 'storage/usb-backup/dump');
  const [archive] = readdirSync(dump).filter((name) => name.endsWith('.tar.zst'));
  expect(readFileSync(join(dump, `${archive}.notes`), 'utf8')).toContain('felhom job');
  demo.child.kill('SIGINT');
  expect(await demo.ended).toBe(0);
  expect(processesOf(demo.dir)).toEqual([]);
  expect(leftOf(demo.dir)).toEqual([]);
});

test("a directory with somebody else's files is refused and left alone", async () => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-'));
  try {
    mkdirSync(join(dir, 'd'));
    writeFileSync(join(dir, 'd/photo.jpg'), 'mine');
    const main = new URL('../../dist/test/demo/main.js', import.meta.url).pathname;
    expect(() => execFileSync(process.execPath, [main, '--state', join(dir, 'd'), '--once'], { stdio: 'pipe' })).toThrow(
      /not the demo's/,
    );
    expect(readFileSync(join(dir, 'd/photo.jpg'), 'utf8')).toBe('mine');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test.each([
  ['--guests', '0', 'whole number from 1 to 50'],
  ['--port-base', 'http', 'whole number from 1024'],
  ['--no-such', '', 'no-such'],
])('%s %s is refused with a sentence', async (option, value, sentence) => {
  demo = startDemo(value ? [option, value] : [option]);
  expect(await demo.ended).toBe(1);
  expect(demo.output()).toContain(sentence);
  expect(demo.output()).not.toContain('    at ');
});
