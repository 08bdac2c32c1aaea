/** What drives say of themselves, as the agent hears it: at once after a plugging in, and never made up. */
import { describe, expect, test } from 'vitest';
import { smartReadingIn } from '#agent/disks/smart/parse';
import { until, type VmHost } from '../host.ts';
import { SERIALS } from '../vm.ts';

const NVME = `/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_${SERIALS.nvme}`;

/** As when the drive was pulled out and put back: the kernel finds it anew. */
const REPLUG = `set -e
umount /mnt/pve/nvme
controller=$(readlink -f /sys/class/nvme/nvme*/device)
echo 1 > "$controller/remove"
sleep 1
echo 1 > /sys/bus/pci/rescan
for i in $(seq 60); do [ -e ${NVME} ] && break; sleep 0.5; done
udevadm settle
mount ${NVME} /mnt/pve/nvme`;

export const smartCases = (host: () => VmHost): void => {
  describe('SMART', () => {
    test.each([
      ['nvme', SERIALS.nvme, { health: 'PASSED', temperature_c: 50, percentage_used: 0, standby: false, reasons: [] }],
      ['sata', SERIALS.sata, { health: 'PASSED', temperature_c: 31, standby: false }],
      ['virtio-scsi', SERIALS.lvm, { health: 'UNKNOWN', temperature_c: null, reasons: ['The drive has no SMART.'] }],
      ['usb', SERIALS.usb, { health: 'UNKNOWN', reasons: [expect.stringContaining('-d sat')] }],
      ['virtio', SERIALS.system, { health: 'UNKNOWN', reasons: ['Virtual drives have no SMART.'] }],
    ])('%s', async (_kind, serial, expected) => {
      const found = await until(
        () => host().drive(serial),
        ({ smart }) => !smart.reasons?.includes('The drive has not been asked yet.'),
      );
      expect(found.smart).toMatchObject(expected);
    });

    test('the parser makes the same of what smartctl writes here now', async () => {
      const { out } = await host().vm.run('smartctl -j -a -n standby,2,3 /dev/disk/by-id/ata-*LABSATA0001');
      expect(smartReadingIn(out)).toMatchObject({ health: 'PASSED', temperature_c: 31, power_on_hours: 1 });
    });

    test('storage targets have the health of the drives behind them', async () => {
      const { storage_targets, stale } = await host().metrics();
      expect(stale).toEqual([]);
      const health = Object.fromEntries(storage_targets.map(({ name, smart }) => [name, smart.health]));
      expect(health).toEqual({ local: 'UNKNOWN', 'local-lvm': 'UNKNOWN', nvme: 'PASSED', 'sata-backup': 'PASSED' });
    });

    test('a drive that reports a critical warning is FAILING: on the drive, its storage, and as a problem', async () => {
      const { vm, drive, metrics, get } = host();
      await vm.nvmeWarning(4);
      await vm.out(REPLUG);
      const found = await until(
        () => drive(SERIALS.nvme),
        ({ smart }) => smart.health === 'FAILING',
      );
      expect(found.smart.reasons).toContain('It reports that its reliability is degraded by errors.');
      const target = await until(
        async () => (await metrics()).storage_targets.find(({ name }) => name === 'nvme'),
        (one) => one?.smart.health === 'FAILING',
      );
      expect(target?.smart.reasons?.length).toBeGreaterThan(0);
      const { json } = await get('/problems');
      expect(json.data.problems).toContainEqual(
        expect.objectContaining({
          code: 'drive-failing',
          severity: 'critical',
          sentence: expect.stringContaining(`drive ${found.name} is failing`),
        }),
      );
    });

    test('well again it is PASSED at once, and still a problem: one good word does not clear it', async () => {
      const { vm, drive, get } = host();
      await vm.nvmeWarning(0);
      await vm.out(REPLUG);
      await until(
        () => drive(SERIALS.nvme),
        ({ smart }) => smart.health === 'PASSED',
      );
      const { json } = await get('/problems');
      expect(json.data.problems.map(({ code }: { code: string }) => code)).toContain('drive-failing');
    });
  });
};
