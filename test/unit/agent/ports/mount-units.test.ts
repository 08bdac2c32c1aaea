import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { escapePath, unitsOf } from '#agent/ports/mount-units';

const exec = promisify(execFile);

const SPEC: MountSpec = {
  mountPoint: '/mnt/felhom/my-photos',
  guestPoint: '/mnt/felhom/.guests/101/my-photos',
  link: 'my-photos.0123456789ab',
  uuid: '2b5e8d0c-7a37-4c0e-9c0f-0c3b1b6a2f11',
  fstype: 'ext4',
  options: 'nosuid,nodev,errors=remount-ro',
  match: { serial: 'S1', wwn: '', sizeBytes: 512 },
};

test('the unit of the host’s place is bound to our own link and wanted by its device', () => {
  const [first] = unitsOf(SPEC, true);
  expect(first).toEqual({
    name: 'mnt-felhom-my\\x2dphotos.mount',
    wantedBy: ['dev-felhom-my\\x2dphotos.0123456789ab.device'],
    text: `# felhom-agent writes this file from its assignments, and takes it away at eject. What is changed here is lost.

[Unit]
Description=felhom: /mnt/felhom/my-photos
BindsTo=dev-felhom-my\\x2dphotos.0123456789ab.device
After=dev-felhom-my\\x2dphotos.0123456789ab.device
Before=pve-guests.service

[Mount]
What=/dev/felhom/my-photos.0123456789ab
Where=/mnt/felhom/my-photos
Type=ext4
Options=nosuid,nodev,errors=remount-ro
TimeoutSec=120

[Install]
WantedBy=dev-felhom-my\\x2dphotos.0123456789ab.device
`,
  });
});

test('the unit of the guest’s directory comes and goes with the first', () => {
  const [first, second] = unitsOf(SPEC, true);
  expect(second.name).toBe('mnt-felhom-.guests-101-my\\x2dphotos.mount');
  expect(second.wantedBy).toEqual([first.name]);
  expect(second.text).toContain(`\nBindsTo=${first.name}\nAfter=${first.name}\n`);
  expect(second.text).toContain(
    '\nWhat=/mnt/felhom/my-photos\nWhere=/mnt/felhom/.guests/101/my-photos\nType=none\nOptions=bind\n',
  );
});

test('where udev does not run there is no device to wait for', () => {
  const [first] = unitsOf(SPEC, false);
  expect(first.text).not.toMatch(/^(BindsTo|After)=/m);
  expect(first.wantedBy).toEqual([]);
});

/** Lines that systemd reads as a setting or a section. */
const shapeOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/=.*$/s, ''));

test('no value gains a line, a setting or a specifier, whatever it is', () => {
  const shapes = unitsOf(SPEC, true).map(({ text }) => shapeOf(text));
  const field = fc.constantFrom('mountPoint', 'guestPoint', 'link', 'fstype', 'options');
  const words = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(field, words, (name, word) => {
      let units: ReturnType<typeof unitsOf>;
      try {
        units = unitsOf({ ...SPEC, [name]: `${SPEC[name as 'link']}${word}` }, true);
      } catch {
        return;
      }
      expect(units.map(({ text }) => shapeOf(text))).toEqual(shapes);
      for (const { text, name: file } of units) {
        expect(text.replaceAll('%%', '')).not.toContain('%');
        expect(file).toMatch(/^[A-Za-z0-9:_.\\-]+\.mount$/);
      }
    }),
    { numRuns: 500 },
  );
});

test.each(['a\nExec=/bin/x', 'a\\', ' a', 'a ', '', 'ä', 'a\u2028b', 'a"b', 'a\0b'])('%j is refused as a value', (options) => {
  expect(() => unitsOf({ ...SPEC, options }, true)).toThrow('not fit for a unit');
});

test('a specifier is written so that it stands for itself', () => {
  expect(unitsOf({ ...SPEC, mountPoint: '/mnt/felhom/%n' }, true)[0].text).toContain('\nWhere=/mnt/felhom/%%n\n');
});

const ESCAPE = '/usr/bin/systemd-escape';
describe.skipIf(!existsSync(ESCAPE))('systemd-escape (skipped where systemd is not installed)', () => {
  const PATHS = [
    '/',
    '/mnt/felhom/photos',
    '/mnt//felhom/a-b_c.d:e/',
    '/.guests/101/x',
    '/dev/felhom/photos.0123',
    '/a b/%n/ä/"\'/\\x2d/#;=@,+~*?[]{}$(|)`!<>^&',
  ];
  test.each(PATHS)('%s is escaped as systemd does it', async (path) => {
    const { stdout } = await exec(ESCAPE, ['--path', '--', path]);
    expect(escapePath(path)).toBe(stdout.trimEnd());
  });
});

const ANALYZE = '/usr/bin/systemd-analyze';
describe.skipIf(!existsSync(ANALYZE))('systemd-analyze verify (skipped where systemd is not installed)', () => {
  const verify = async (change: (text: string) => string): Promise<string> => {
    const dir = mkdtempSync(join(tmpdir(), 'felhom-mount-units-'));
    try {
      const units = unitsOf(SPEC, true);
      for (const { name, text } of units) writeFileSync(join(dir, name), change(text));
      const files = units.map(({ name }) => join(dir, name));
      // Unknown keys are a warning on stderr with status 0 (systemd-analyze(1)): both count.
      const { stderr } = await exec(ANALYZE, ['verify', '--man=no', ...files]).catch((error: { stderr?: string }) => ({
        stderr: error.stderr || 'failed',
      }));
      return stderr;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };
  test('both units are accepted without a word', async () => {
    expect(await verify((text) => text)).toBe('');
  });
  test('the check notices a place that is not the unit’s own', async () => {
    expect(await verify((text) => text.replace('Where=/mnt/felhom/my-photos', 'Where=/mnt/felhom/other'))).not.toBe('');
  });
});
