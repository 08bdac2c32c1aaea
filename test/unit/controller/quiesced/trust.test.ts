import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readQuiesceFile } from '#controller/quiesced/config';
import { checkTrusted, readTrusted } from '#controller/quiesced/trust';

let dir: string;
const at = (name: string) => join(dir, name);
beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'felhom-trust-')));
  await mkdir(at('sub'), { mode: 0o755 });
  await writeFile(at('sub/file'), 'text', { mode: 0o644 });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('a file that nobody else can have written is read', async () => {
  await expect(readTrusted(at('sub/file'))).resolves.toBe('text');
});

test('a file that is not there is none', async () => {
  await expect(readTrusted(at('sub/none'))).resolves.toBeNull();
});

test.each([
  ['by its group', 'sub/file', 0o664, 'chmod 644'],
  ['by all', 'sub/file', 0o646, 'chmod 644'],
  ['in its directory', 'sub', 0o775, 'chmod go-w'],
  ['in a directory above', '.', 0o707, 'chmod go-w'],
])('writable %s: refused with the command that mends it', async (_by, name, mode, command) => {
  await chmod(at(name), mode);
  await expect(readTrusted(at('sub/file'))).rejects.toThrow(`${command} ${at(name)}`);
});

test('a sticky directory above is well', async () => {
  await chmod(dir, 0o1777);
  await expect(readTrusted(at('sub/file'))).resolves.toBe('text');
});

test('a secret must not be readable by others, its group may', async () => {
  await expect(readTrusted(at('sub/file'), { secret: true })).rejects.toThrow(`chmod 600 ${at('sub/file')}`);
  await chmod(at('sub/file'), 0o640);
  await expect(readTrusted(at('sub/file'), { secret: true })).resolves.toBe('text');
});

test('through a link, what it leads to is looked at as well', async () => {
  await mkdir(at('open'));
  await writeFile(at('open/file'), 'x', { mode: 0o644 });
  await symlink(at('open/file'), at('sub/link'));
  await expect(readTrusted(at('sub/link'))).resolves.toBe('x');
  await chmod(at('open'), 0o777);
  await expect(readTrusted(at('sub/link'))).rejects.toThrow(`chmod go-w ${at('open')}`);
});

test('a directory is no file', async () => {
  await expect(checkTrusted(at('sub'))).rejects.toThrow('is not a file');
});

test('a name with blanks is quoted in the command', async () => {
  await writeFile(at("sub/it's mine"), '', { mode: 0o644 });
  await chmod(at("sub/it's mine"), 0o666);
  await expect(checkTrusted(at("sub/it's mine"))).rejects.toThrow(`chmod 644 '${dir}/sub/it'\\''s mine'`);
});

test('quiesce.yaml: read, wrong, not YAML, not there', async () => {
  const path = at('sub/file');
  await writeFile(path, 'hold_max: 20s\napps: [{name: a, adapter: sqlite, path: /srv/a.db}]\n');
  await expect(readQuiesceFile(path)).resolves.toMatchObject({ ok: true, config: { hold_max: 20_000, apps: [{ name: 'a' }] } });
  await writeFile(path, 'apps: [{name: a, adapter: sqlite}]\nhold_mx: 3s\n');
  await expect(readQuiesceFile(path)).resolves.toEqual({
    ok: false,
    error: expect.stringMatching(/hold_mx.*apps\[0\]\.path|apps\[0\]\.path.*hold_mx/),
  });
  await writeFile(path, 'apps: [');
  await expect(readQuiesceFile(path)).resolves.toMatchObject({ ok: false, error: expect.stringContaining('it is not YAML') });
  await expect(readQuiesceFile(at('sub/none'))).resolves.toMatchObject({ ok: true, config: { apps: [] } });
});
