/** LVM-thin: what the kernel says of the pool is what guests are told. */
import { describe, expect, test } from 'vitest';
import { until, type VmHost } from '../host.ts';

/** Percentages of data and metadata. */
const LVS = 'lvs --noheadings --separator / -o data_percent,metadata_percent labvg/data';

export const thinCases = (host: () => VmHost): void => {
  describe('LVM-thin', () => {
    test('data and metadata of the pool, before and after a guest has written', async () => {
      const { vm, metrics } = host();
      const pool = async () => (await metrics()).storage_targets.find(({ name }) => name === 'local-lvm')?.thin_pool;
      const before = await pool();
      await vm.out('dd if=/dev/urandom of=/dev/labvg/vm-101-disk-0 bs=1M count=128 oflag=direct status=none');
      const [data = 0, metadata = 0] = (await vm.out(LVS)).trim().split('/').map(Number);
      const found = await until(pool, (now) => (now?.data_used_fraction ?? 0) > (before?.data_used_fraction ?? 1));
      expect(data).toBeGreaterThan(12);
      expect(found?.data_used_fraction).toBeCloseTo(data / 100, 2);
      expect(found?.metadata_used_fraction).toBeCloseTo(metadata / 100, 2);
    });
  });
};
