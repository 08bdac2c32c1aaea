import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OpsignFailed } from '#opsign/failed';
import { readKeyFile, refuseExisting, writeKeyFile } from '#opsign/key-file';
import { makeKey } from '#opsign/keys';

const KEY = makeKey({ name: 'karl', passphrase: 'correct horse battery' });

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'felhom-opsign-'));
  path = join(directory, 'opsign.key');
});
afterEach(() => rm(directory, { recursive: true }));

const modeOf = async (what: string): Promise<string> => ((await stat(what)).mode & 0o7777).toString(8);
const refused = async (sentence: RegExp): Promise<void> => {
  await expect(readKeyFile(path)).rejects.toThrow(OpsignFailed);
  await expect(readKeyFile(path)).rejects.toThrow(sentence);
};

describe('the key file', () => {
  test("is its owner's only, in a directory that is too", async () => {
    const deep = join(directory, 'felhom/keys/opsign.key');
    await writeKeyFile(deep, KEY.privatePem);
    expect(await modeOf(deep)).toBe('600');
    expect(await modeOf(join(directory, 'felhom'))).toBe('700');
    await expect(readKeyFile(deep)).resolves.toMatchObject({ name: 'karl' });
  });

  test('is never overwritten', async () => {
    await writeFile(path, 'precious');
    await expect(refuseExisting(path)).rejects.toThrow(/exists already/);
    await expect(writeKeyFile(path, KEY.privatePem)).rejects.toThrow(/exists already/);
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  test('is not written through a link that leads nowhere', async () => {
    await symlink(join(directory, 'elsewhere'), path);
    await expect(writeKeyFile(path, KEY.privatePem)).rejects.toThrow(/exists already/);
  });

  test('that cannot be written is said so', async () => {
    await writeFile(path, '');
    await expect(writeKeyFile(join(path, 'below'), KEY.privatePem)).rejects.toThrow(/cannot be written .*none was made/);
  });

  test.each([0o640, 0o604, 0o644, 0o620, 0o610, 0o777])('with mode %o is refused', async (mode) => {
    await writeFile(path, KEY.privatePem);
    await chmod(path, mode);
    await refused(new RegExp(`Other accounts may read or change .*mode ${mode.toString(8)}.*chmod 600`));
  });

  test.each([0o600, 0o400])('with mode %o is used', async (mode) => {
    await writeFile(path, KEY.privatePem);
    await chmod(path, mode);
    await expect(readKeyFile(path)).resolves.toMatchObject({ name: 'karl' });
  });

  test.skipIf(process.getuid?.() !== 0)("is refused where it is another account's", async () => {
    await writeFile(path, KEY.privatePem, { mode: 0o600 });
    execFileSync('/bin/chown', ['65534', path]);
    await refused(/belongs to another account/);
  });

  test('that is not there is told so, with the next step', () => refused(/^There is no key ".*opsign\.key"\..*keygen/));

  test('that is a directory is refused', async () => {
    await mkdir(path, { mode: 0o700 });
    await refused(/is not a file that keygen made/);
  });

  test('that is a pipe is refused at once', async () => {
    execFileSync('/usr/bin/mkfifo', ['-m', '600', path]);
    await refused(/is not a file that keygen made/);
  });

  test('that is endless is refused', async () => {
    await writeFile(path, `${KEY.privatePem}${' '.repeat(20_000)}`, { mode: 0o600 });
    await refused(/is not a file that keygen made/);
  });

  test('is shown so that its name does no harm', async () => {
    path = join(directory, 'a\u001b[2J;"');
    await refused(/a\\u\{1b\}\[2J;"/);
  });
});
