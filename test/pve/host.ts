/** The node's hardware as the API shows it: constants a test may replace in `world.host`. */

import type { World } from './world.ts';

const GIB = 1024 ** 3;

export const CPUS = 4;
export const MEMORY_TOTAL = 16 * GIB;
export const ROOT_TOTAL = 100 * GIB;

const MEMORY_USED = 5 * GIB;
const ROOT_USED = 20 * GIB;

/** Some load that changes with the minute, the same for every caller. */
export const cpuLoad = (now: number): number => 0.04 + 0.03 * Math.sin(now / 600) ** 2;

export const nodeUsage = (world: World, now: number, uptime: number) => ({
  cpu: cpuLoad(now),
  maxcpu: CPUS,
  mem: MEMORY_USED,
  maxmem: MEMORY_TOTAL,
  disk: ROOT_USED,
  maxdisk: ROOT_TOTAL,
  uptime,
  level: '',
  ...(world.host?.usage ?? {}),
});

const KERNEL = { sysname: 'Linux', release: '6.17.2-1-pve', version: '#1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1', machine: 'x86_64' };

export const nodeStatus = (world: World, now: number, uptime: number): Record<string, unknown> => ({
  'boot-info': { mode: 'efi', secureboot: 0 },
  cpu: cpuLoad(now),
  cpuinfo: {
    cores: CPUS,
    cpus: CPUS,
    family: '6',
    flags: 'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 sse sse2 ht syscall nx lm',
    hvm: '1',
    mhz: '2400.000',
    model: 'Intel(R) N100',
    sockets: 1,
    user_hz: 100,
    vendor: 'GenuineIntel',
  },
  'current-kernel': KERNEL,
  idle: 0,
  ksm: { shared: 0 },
  kversion: `Linux ${KERNEL.release} ${KERNEL.version}`,
  loadavg: ['0.21', '0.18', '0.15'],
  memory: { total: MEMORY_TOTAL, used: MEMORY_USED, free: MEMORY_TOTAL - MEMORY_USED, available: MEMORY_TOTAL - MEMORY_USED },
  pveversion: `pve-manager/${world.version.version}/${world.version.repoid}`,
  rootfs: { total: ROOT_TOTAL, used: ROOT_USED, free: ROOT_TOTAL - ROOT_USED, avail: ROOT_TOTAL - ROOT_USED },
  swap: { total: 8 * GIB, used: 0, free: 8 * GIB },
  uptime,
  wait: 0,
  ...(world.host?.status ?? {}),
});

/** A hybrid cgroup layout has no pressure figures for containers. */
export const cgroupMode = (world: World): number => world.host?.cgroupMode ?? 2;

export const DISKS: Record<string, string | number | null>[] = [
  {
    devpath: '/dev/sda',
    by_id_link: '/dev/disk/by-id/ata-SIMULATED_SSD_SIM0001',
    size: 256 * 1000 ** 3,
    used: 'LVM',
    gpt: 1,
    health: 'PASSED',
    model: 'SIMULATED_SSD',
    serial: 'SIM0001',
    vendor: 'ATA     ',
    type: 'ssd',
    wearout: 97,
    rpm: 0,
    osdid: -1,
    'osdid-list': null,
    wwn: '0x5000000000000001',
  },
];
