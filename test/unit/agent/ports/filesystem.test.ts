import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type RunCommand, runCommand } from '#agent/ports/command';
import { createFileSize, createFilesystem } from '#agent/ports/filesystem';

test('the room of a real file system', async () => {
  const { space } = createFilesystem(runCommand);
  const { blocks, bsize } = await statfs(tmpdir());
  const found = await space(tmpdir());
  expect(found.totalBytes).toBe(blocks * bsize);
  expect(found.availBytes).toBeGreaterThan(0);
  expect(found.availBytes).toBeLessThan(found.totalBytes);
  expect((await space('/proc')).device).not.toBe(found.device);
});

test('a path that is not there', async () =>
  expect(createFilesystem(runCommand).space('/nonexistent')).rejects.toMatchObject({ reason: 'exit' }));

test('blocks count in the size that stat names, whatever it is', async () => {
  const run: RunCommand = async (_name, args) => (args.includes('-f') ? '4096 1000 250\n' : '2065\n');
  expect(await createFilesystem(run).space('/x')).toEqual({ device: '2065', totalBytes: 4_096_000, availBytes: 1_024_000 });
  await expect(createFilesystem(async () => '? ? ?\n').space('/x')).rejects.toThrow('no figures');
});

test("a file's size, and of one that is not there none", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'felhom-'));
  const size = createFileSize(runCommand);
  await writeFile(join(directory, 'x'), 'four');
  expect([await size(join(directory, 'x')), await size(join(directory, 'y'))]).toEqual([4, null]);
  await rm(directory, { recursive: true });
});
