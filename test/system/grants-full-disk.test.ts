/** A disk that is full when a signature is to be recorded: a real one, of two megabytes. */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type GrantHost, grantHost, heard } from '../unit/agent/ops/grant-world.ts';
import { run } from './drives/lab.ts';

const missing = process.getuid?.() === 0 ? '' : 'mounting needs root';

/** To the last byte. */
const fill = (file: string): void => {
  const fd = openSync(file, 'w');
  try {
    for (const size of [65_536, 4096, 512, 1]) {
      const piece = Buffer.alloc(size, 1);
      for (let written = size; written === size; ) written = tryWrite(fd, piece);
    }
  } finally {
    closeSync(fd);
  }
};
const tryWrite = (fd: number, piece: Buffer): number => {
  try {
    return writeSync(fd, piece);
  } catch {
    return 0;
  }
};

/** @param part of the host's directory that is a file system of its own */
const withSmallDisk = async (part: 'state' | 'etc', use: (host: GrantHost, disk: string) => Promise<void>): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-full-'));
  const disk = join(dir, part);
  mkdirSync(disk);
  await run('mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk);
  try {
    const host = await grantHost({}, dir);
    await use(host, disk).finally(host.close);
  } finally {
    await run('umount', disk);
    rmSync(dir, { recursive: true });
  }
};

describe.skipIf(missing !== '')(`a full disk${missing && ` (skipped: ${missing})`}`, () => {
  test.each([
    ['the used signature', 'state', /^state-failed: .*nothing was erased.*The signature was not used up/],
    ['the second file', 'etc', /^grants-off: .*Nothing was erased/],
  ] as const)('has no room for %s: nothing is erased, and the signature is still good', async (_what, part, reason) => {
    await withSmallDisk(part, async (host, disk) => {
      const text = await host.signed(await host.open());
      fill(join(disk, 'full'));
      expect(statfsSync(disk).bavail).toBe(0);
      expect(await heard(host.carry(text))).toMatch(reason);
      expect(await heard(host.carry(text, 'guest 101'))).toMatch(/^(state-failed|grants-off)/);
      expect([host.state.erased, await host.used(), host.now.trust.counts()]).toEqual([[], 0, { database: 0, file: 0 }]);
      rmSync(join(disk, 'full'));
      expect(await heard(host.carry(text))).toMatch(/^job/);
      expect([host.state.erased, await host.used()]).toEqual([['sdb'], 1]);
      expect(host.now.trust.counts()).toEqual({ database: 1, file: 1 });
    });
  });
});
