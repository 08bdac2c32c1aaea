import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { grantLine } from '#agent/cli/grant-line';

const terminal = (): PassThrough => Object.assign(new PassThrough(), { isTTY: true });

test('a line that is pasted into a terminal ends with Enter', async () => {
  const input = terminal();
  const line = grantLine('-', input);
  input.write('eyJ.eyJ.');
  input.write('abc\n');
  expect(await line).toBe('eyJ.eyJ.abc');
});

test.each([
  ['with a newline', 'eyJ.eyJ.abc\n', 'eyJ.eyJ.abc'],
  ['with that of another system', 'eyJ.eyJ.abc\r\n', 'eyJ.eyJ.abc'],
  ['without', 'eyJ.eyJ.abc', 'eyJ.eyJ.abc'],
  ['broken in two, which the agent refuses', 'eyJ.\neyJ.abc\n', 'eyJ.\neyJ.abc'],
])('from a pipe and from a file, %s', async (_what, text, line) => {
  const input = new PassThrough();
  input.end(text);
  expect(await grantLine('-', input)).toBe(line);
  const dir = mkdtempSync(join(tmpdir(), 'felhom-line-'));
  writeFileSync(join(dir, 'grant'), text);
  expect(await grantLine(join(dir, 'grant'))).toBe(line);
  rmSync(dir, { recursive: true });
});

test('nothing is no signature; what never ends is cut', async () => {
  const [nothing, endless] = [terminal(), new PassThrough()];
  nothing.end('\n');
  await expect(grantLine('-', nothing)).rejects.toThrow(/There is no signature/);
  endless.write('x'.repeat(20_000));
  expect(await grantLine('-', endless)).toHaveLength(8192);
});
