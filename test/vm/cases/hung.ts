/** A drive that answers nothing any more, with processes in the kernel that wait for it for ever: everything else answers in time. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { figure } from '../figures.ts';
import type { VmHost } from '../host.ts';

/** What a reader waits for that can be ended by nothing. */
const WAITING = "ps -eo stat= | grep -c '^D' || true";

const ROUNDS = 33;
/** As clients may expect, by the machine's own clock. */
const LIMITS = { '/disks': 10_000, '/host/metrics': 4_000, '/healthz': 1_000 } as const;

export const hungCases = (host: () => VmHost): void => {
  describe('a drive that hangs', () => {
    beforeAll(async () => {
      const { vm } = host();
      // LVM's volume stops, and so does a storage that lies on it (dmsetup(8), suspend).
      await vm.out('mkfs.ext4 -q -F /dev/labvg/vm-101-disk-0; mkdir -p /mnt/hung; mount /dev/labvg/vm-101-disk-0 /mnt/hung');
      await vm.out('dmsetup suspend --noflush labvg-vm--101--disk--0');
      await vm.out('for i in 1 2 3; do systemd-run --quiet --unit=stuck$i touch /mnt/hung/$i; done; sleep 2');
      // And so does a whole drive: a byte a second.
      await vm.throttle('sata', 1);
      await vm.out(
        'echo 3 > /proc/sys/vm/drop_caches; systemd-run --quiet --unit=stuck4 dd if=/dev/disk/by-id/wwn-0x5000c500a1b2c3d4 of=/dev/null bs=1M count=8; sleep 2',
      );
    });
    afterAll(async () => {
      const { vm } = host();
      await vm.throttle('sata', 0);
      await vm.run('dmsetup resume labvg-vm--101--disk--0; umount /mnt/hung');
    });

    test('there are processes that nothing can end', async () => {
      expect(Number(await host().vm.out(WAITING))).toBeGreaterThan(1);
    });

    test(`${3 * ROUNDS} calls in a row are answered in time`, async () => {
      const { vm, guest } = host();
      const { fingerprint, token } = guest(101);
      const rounds = ['node /usr/lib/felhom/test/vm/rounds.js 8443', fingerprint, token, ROUNDS, ...Object.keys(LIMITS)].join(
        ' ',
      );
      const worst: Record<string, { ms: number; statuses: number[] }> = JSON.parse(await vm.out(rounds));
      for (const [path, limitMs] of Object.entries(LIMITS)) {
        figure(`slowest ${path} beside drives that hang`, worst[path]?.ms ?? 0);
        expect([path, worst[path]?.statuses]).toEqual([path, [200]]);
        expect(worst[path]?.ms).toBeLessThan(limitMs);
      }
    });

    test('backups are still looked after', async () => {
      const [due, status] = await Promise.all([host().get('/backup/due'), host().get('/backup/status')]);
      expect([due.status, status.status]).toEqual([200, 200]);
    });
  });
};
