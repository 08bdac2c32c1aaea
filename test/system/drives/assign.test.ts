/** Assign, on real devices: what is mounted, by which options, for whom; what is refused leaves nothing behind. */
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { labMissing, withLab } from './lab.ts';
import { makeWorld } from './world.ts';

describe.skipIf(labMissing !== '')(`assign${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a free drive is mounted for the guest that asks, and becomes its own', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const drive = await lab.drive({ name: 'photos', serial: 'S1' });
      const uuid = await lab.mkfs(drive.device, 'ext4');
      expect(await world.assign(uuid, 'photos')).toMatchObject({ vmid: 101, uuid, where: world.path('photos') });
      expect(statSync(world.path('photos')).uid).toBe(100000);
      expect(await world.eject('photos')).toEqual({ vmid: 101, ejected: true, dependent_guests: [] });
    });
  });
});
