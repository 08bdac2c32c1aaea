import { chmodSync, chownSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { opsignKeysIn } from '#agent/ports/opsign-keys';
import { makeOperator } from '../ops/operator.ts';

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-keys-'));
  file = join(dir, 'opsign.keys');
});
afterEach(() => rmSync(dir, { recursive: true }));

const missing = process.getuid?.() === 0 ? '' : 'only root owns the file';

describe.skipIf(missing !== '')(`the file of operators' keys${missing && ` (skipped: ${missing})`}`, () => {
  test('is read anew each time: a key that is marked as retired is so at once', async () => {
    const [bela, anna] = [await makeOperator('bela'), await makeOperator('anna')];
    writeFileSync(file, `# keys\n${bela.line()}${anna.line()}`);
    const keys = opsignKeysIn(file);
    expect((await keys.read()).get(bela.kid)).toEqual({ x: bela.x, name: 'bela', state: 'active' });
    writeFileSync(file, `${bela.line('retired')}${anna.line()}`);
    const later = await keys.read();
    expect([later.get(bela.kid)?.state, later.get(anna.kid)?.state]).toEqual(['retired', 'active']);
  });

  test.each([
    ['is not there', /^There is no .*felhom-opsign pubkey/, () => undefined],
    [
      'is a link',
      /is a link/,
      () => {
        writeFileSync(join(dir, 'real'), '');
        symlinkSync(join(dir, 'real'), file);
      },
    ],
    ['is a directory', /is not a file/, () => mkdirSync(file)],
    [
      "is another's",
      /has to be root's and writable by nobody else/,
      () => {
        writeFileSync(file, '');
        chownSync(file, 1000, 0);
      },
    ],
    [
      'may be written by its group',
      /chmod go-w/,
      () => {
        writeFileSync(file, '');
        chmodSync(file, 0o664);
      },
    ],
    [
      'may be written by others',
      /chmod go-w/,
      () => {
        writeFileSync(file, '');
        chmodSync(file, 0o646);
      },
    ],
    [
      'lies where others may put another',
      /felhom-keys-\S+ has to be root's/,
      () => {
        writeFileSync(file, '');
        chmodSync(dir, 0o777);
      },
    ],
    ['is too large', /too large/, () => writeFileSync(file, '#'.repeat(70_000))],
    ['has a bad line', /opsign\.keys: Line 2 /, () => writeFileSync(file, '# one\nactive short bela\n')],
  ])('is refused where it %s', async (_what, why, make) => {
    make();
    await expect(opsignKeysIn(file).read()).rejects.toThrow(why);
  });

  test('a second name of it is no harm', async () => {
    writeFileSync(file, (await makeOperator()).line());
    linkSync(file, join(dir, 'other'));
    expect((await opsignKeysIn(file).read()).size).toBe(1);
  });
});
