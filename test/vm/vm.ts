/** A host in a virtual machine, for what loop devices cannot show: SMART, udev and its links, plugs pulled, LVM-thin, a kernel that may panic. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../chaos/alive.ts';
import { image } from './image.ts';
import { type Qmp, qmpAt } from './qmp.ts';

export interface Ran {
  status: number;
  out: string;
  err: string;
}

export interface Vm {
  /** Where 8443 of the machine is reached on loopback. */
  port: number;
  /** As root, by a shell. @param timeoutMs of this machine's time; then status 124 */
  run(command: string, timeoutMs?: number): Promise<Ran>;
  /** What it wrote, without the last newline; rejects where it failed. */
  out(command: string, timeoutMs?: number): Promise<string>;
  /** Its own clock, milliseconds since it was switched on. */
  clock(): Promise<number>;
  /** Waits in there until a condition of the shell holds. @returns milliseconds by its own clock; rejects after 300 s of it */
  waitFor(condition: string): Promise<number>;
  /** A path on this machine that leads to a socket in there. */
  socket(path: string): Promise<string>;
  qmp: Qmp;
  /** The plug of the USB drive. */
  usb: { pull(): Promise<void>; plug(): Promise<void> };
  /** The NVMe drive's critical warning byte. */
  nvmeWarning(byte: number): Promise<void>;
  /** At most so many bytes a second of a drive (`sata`, `nvme`, `lvm`, `spare`), or of what is written to it; 0: as many as there are. */
  throttle(drive: string, bytes: number, what?: 'all' | 'writes'): Promise<void>;
  /** Power off and on again, in whatever it was doing: what was only in its memory is gone. Resolves when it has booted. */
  powerCut(): Promise<void>;
  /** Whether its kernel still runs. */
  runs(): boolean;
  /** The console. */
  log(): string;
  stop(): Promise<void>;
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const GIB = 1024 ** 3;
/** Of the drives beside the system's, by their names in the tests. */
const SIZES = { nvme: 2 * GIB, sata: GIB, lvm: 3 * GIB, usb: GIB / 2, spare: GIB / 4 } as const;

export const SERIALS = {
  system: 'LABSYS0001',
  nvme: 'LABNVME0001',
  sata: 'LABSATA0001',
  lvm: 'LABLVM0001',
  usb: 'LABUSB0001',
  spare: 'LABSPARE0001',
} as const;
export const WWNS = { sata: '0x5000c500a1b2c3d4', lvm: '0x5000c500a1b2c3d5', spare: '0x5000c500a1b2c3d6' } as const;

const drive = (dir: string, name: keyof typeof SIZES): string[] => {
  const file = join(dir, `${name}.img`);
  writeFileSync(file, '');
  truncateSync(file, SIZES[name]);
  return ['-drive', `if=none,id=${name},file=${file},format=raw,discard=unmap,detect-zeroes=unmap`];
};

/** Unplugging takes the backend with it, so each plugging in names a new one. */
const usbDevice = (backend: string) => ({
  ...{ driver: 'usb-storage', drive: backend, id: 'dusb', bus: 'xhci.0', removable: true, serial: SERIALS.usb },
});

const machineArgs = (dir: string, share: string, ports: { ssh: number; agent: number }): string[] => [
  ...['-name', 'felhom-vm', '-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35'],
  // There is no KVM where tests run: everything is emulated. The machine's own clock goes by the instructions it has executed, a billion a
  // second, however long they take here: to what runs in it it is a machine of ordinary speed, and no deadline passes for our slowness.
  ...[
    '-accel',
    'tcg,thread=single,tb-size=512',
    '-icount',
    'shift=0',
    '-cpu',
    'max,la57=off',
    '-smp',
    '1',
    '-m',
    '1536',
    '-rtc',
    'base=utc,clock=vm',
  ],
  ...['-device', 'virtio-rng-pci', '-kernel', image.kernel, '-initrd', image.initrd],
  '-append',
  'root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off random.trust_cpu=on systemd.show_status=0 quiet panic=-1',
  // A panic ends the machine, so that tests see it.
  ...['-no-reboot', '-serial', `file:${join(dir, 'serial.log')}`, '-qmp', `unix:${join(dir, 'qmp.sock')},server=on,wait=off`],
  // Nothing is reached from within, and only these two from without, on loopback.
  '-netdev',
  `user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:${ports.ssh}-:22,hostfwd=tcp:127.0.0.1:${ports.agent}-:8443`,
  ...['-device', 'virtio-net-pci,netdev=n0,romfile='],
  ...['-virtfs', `local,path=${share},mount_tag=felhom-share,security_model=none,readonly=on`],
  ...['-drive', `if=none,id=sys,file=${image.disk},format=raw,snapshot=on`],
  ...['-device', `virtio-blk-pci,drive=sys,id=dsys,serial=${SERIALS.system}`],
  ...[...drive(dir, 'nvme'), '-device', `nvme,drive=nvme,id=dnvme,serial=${SERIALS.nvme}`],
  ...drive(dir, 'sata'),
  ...[
    '-device',
    `ide-hd,drive=sata,id=dsata,bus=ide.0,serial=${SERIALS.sata},model=LAB-SATA-DISK,wwn=${WWNS.sata},rotation_rate=7200`,
  ],
  ...['-device', 'virtio-scsi-pci,id=scsi0', ...drive(dir, 'lvm')],
  ...['-device', `scsi-hd,drive=lvm,id=dlvm,bus=scsi0.0,serial=${SERIALS.lvm},wwn=${WWNS.lvm}`],
  ...[...drive(dir, 'spare'), '-device', `scsi-hd,drive=spare,id=dspare,bus=scsi0.0,serial=${SERIALS.spare},wwn=${WWNS.spare}`],
  ...['-device', 'qemu-xhci,id=xhci', ...drive(dir, 'usb')],
  ...['-device', `usb-storage,drive=usb,id=dusb,bus=xhci.0,removable=on,serial=${SERIALS.usb}`],
];

/** Of one kept connection, so that a command costs a tenth of a second. */
const sshArgs = (dir: string, port: number): string[] => [
  ...['-q', '-i', image.key, '-p', String(port), '-o', 'UserKnownHostsFile=/dev/null', '-o', 'StrictHostKeyChecking=no'],
  ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=60', '-o', 'ServerAliveInterval=30', '-o', 'ServerAliveCountMax=20'],
  ...['-o', 'ControlMaster=auto', '-o', `ControlPath=${join(dir, 'ssh')}`, '-o', 'ControlPersist=600'],
];

const ssh = (args: readonly string[], timeoutMs: number): Promise<Ran> =>
  new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL' as const, maxBuffer: 32 << 20 };
    execFile('/usr/bin/ssh', args, options, (error, out, err) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 124;
      resolve({ status, out, err });
    });
  });

const BOOT_MS = 600_000;
const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';

const booted = async (qemu: ChildProcess, run: Vm['run'], log: () => string): Promise<void> => {
  for (const end = Date.now() + BOOT_MS; Date.now() < end; ) {
    if (qemu.exitCode !== null || qemu.signalCode !== null) throw new Error(`QEMU ended.\n${log().slice(-2000)}`);
    if ((await run('true', 60_000)).status === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new Error(`The machine did not come up in ${BOOT_MS / 1000} s.\n${log().slice(-2000)}`);
};

/** Hundredths of a second since the machine was switched on, as the shell counts. */
const NOW = "$(cut -d' ' -f1 /proc/uptime | tr -d .)";

const waiting = (condition: string): string => `began=${NOW}
while ! { ${condition}; } > /dev/null 2>&1; do
  if [ $((${NOW} - began)) -gt 30000 ]; then echo 'in vain' >&2; exit 1; fi
  sleep 0.1
done
echo $(( (${NOW} - began) * 10 ))`;

const PREFIX = 'felhom-vm-';

/** What a test process that was killed has left. */
const removeDead = (): void => {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = /^felhom-vm-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
};

/** @param fill puts into a directory what the machine is to see */
export const bootVm = async (fill: (share: string) => Promise<void>): Promise<Vm> => {
  removeDead();
  const dir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const share = join(dir, 'share');
  mkdirSync(share);
  await fill(share);
  const ports = { ssh: await freePort(), agent: await freePort() };
  // It dies with whoever started it, however that ends.
  const args = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...machineArgs(dir, share, ports)];
  const qemu = spawn('/usr/bin/setpriv', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  qemu.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const serial = join(dir, 'serial.log');
  const log = () => `${complaint}${existsSync(serial) ? readFileSync(serial, 'utf8') : ''}`;
  const kept = sshArgs(dir, ports.ssh);
  const run = (command: string, timeoutMs = 600_000) => ssh([...kept, 'root@127.0.0.1', command], timeoutMs);
  const qmp = qmpAt(join(dir, 'qmp.sock'));
  const runs = () => qemu.exitCode === null && qemu.signalCode === null;

  const ended = new Promise<void>((resolve) => qemu.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await booted(qemu, run, log);
  } catch (error) {
    await stop();
    throw error;
  }

  const out: Vm['out'] = async (command, timeoutMs) => {
    const ran = await run(command, timeoutMs);
    if (ran.status !== 0) throw new Error(`${command}: ${ran.status}\n${ran.out}${ran.err}`);
    return ran.out.trimEnd();
  };

  let plugs = 0;
  return {
    port: ports.agent,
    run,
    out,
    clock: async () => Number((await out('cat /proc/uptime')).split(' ')[0]) * 1000,
    waitFor: async (condition) => Number(await out(waiting(condition))),
    socket: async (path) => {
      const local = join(dir, `${path.replaceAll('/', '_').slice(-40)}`);
      rmSync(local, { force: true });
      const { status, err } = await ssh([...kept, '-O', 'forward', '-L', `${local}:${path}`, 'root@127.0.0.1'], 20_000);
      if (status !== 0) throw new Error(`${path} cannot be forwarded: ${err}`);
      return local;
    },
    qmp,
    usb: {
      pull: async () => void (await qmp('device_del', { id: 'dusb' })),
      plug: async () => {
        plugs += 1;
        const backend = `usb${plugs}`;
        const file = { driver: 'file', filename: join(dir, 'usb.img') };
        await qmp('blockdev-add', { driver: 'raw', discard: 'unmap', 'node-name': backend, file });
        await qmp('device_add', usbDevice(backend));
      },
    },
    nvmeWarning: async (byte) =>
      void (await qmp('qom-set', { path: '/machine/peripheral/dnvme', property: 'smart_critical_warning', value: byte })),
    throttle: async (name, bytes, what = 'all') => {
      const rates = what === 'all' ? { bps: bytes, bps_wr: 0 } : { bps: 0, bps_wr: bytes };
      await qmp('block_set_io_throttle', { id: `d${name}`, ...rates, bps_rd: 0, iops: 0, iops_rd: 0, iops_wr: 0 });
    },
    powerCut: async () => {
      const before = await out(BOOT_ID);
      // What led into the machine leads nowhere now.
      await ssh([...kept, '-O', 'exit', 'root@127.0.0.1'], 20_000);
      // Started so that a reset ends it: for this one it does not.
      await qmp('set-action', { reboot: 'reset' });
      await qmp('system_reset', {});
      await booted(qemu, (_command, timeoutMs) => run(`test "$(${BOOT_ID})" != ${before}`, timeoutMs), log);
      await qmp('set-action', { reboot: 'shutdown' });
    },
    runs,
    log,
    stop,
  };
};
