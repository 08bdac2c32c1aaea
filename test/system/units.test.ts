/** The shipped units say nothing that systemd does not understand. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { NODE_FLAGS } from '../demo/processes.ts';

const ANALYZE = '/usr/bin/systemd-analyze';
const UNITS = new URL('../../systemd/', import.meta.url);
const files = readdirSync(UNITS).filter((name) => /\.(service|socket)$/.test(name));
const units = files.filter((name) => name.endsWith('.service'));

/** The unit as it would stand on a machine where the program exists; `systemd-analyze verify` looks for it. */
const verify = async (name: string, change: (text: string) => string = (text) => text): Promise<string> => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-units-'));
  try {
    // A unit may require another one.
    for (const file of files) {
      const text = readFileSync(new URL(file, UNITS), 'utf8').replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true');
      writeFileSync(join(dir, file), file === name ? change(text) : text);
    }
    // Unknown keys are a warning on stderr with status 0 (systemd-analyze(1)): both count.
    const { stderr } = await promisify(execFile)(ANALYZE, ['verify', join(dir, name)]).catch((error: { stderr?: string }) => ({
      stderr: error.stderr || 'failed',
    }));
    return stderr;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

describe.skipIf(!existsSync(ANALYZE))('systemd-analyze verify (skipped where systemd is not installed)', () => {
  test.each(files)('%s is accepted without a word', async (name) => {
    expect(await verify(name)).toBe('');
  });

  test('the check notices a key that systemd does not know', async () => {
    expect(await verify('felhom-agent.service', (text) => text.replace('[Service]', '[Service]\nRestartSecs=2'))).toContain(
      'RestartSecs',
    );
  });
});

/** What `systemd-analyze security` 252 says of each, in tenths, and 2 more for other versions: a sandbox taken away makes it more. */
const EXPOSURE: Record<string, number> = {
  'felhom-agent.service': 71,
  'felhom-controller.service': 81,
  // It acts as root on units, containers and whatever a command touches, so little can be taken from it.
  'felhom-quiesced.service': 83,
  'felhom-quiesced-boot.service': 83,
};

describe.skipIf(!existsSync(ANALYZE))('systemd-analyze security (skipped where systemd is not installed)', () => {
  test.each(units)('%s is no more exposed than it was', async (name) => {
    const path = new URL(name, UNITS).pathname;
    const args = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE[name] ?? 0}`, path];
    const { stdout = '', code = 0 } = (await promisify(execFile)(ANALYZE, args).catch(
      (error: { stdout?: string; code?: number }) => error,
    )) as { stdout?: string; code?: number };
    expect(code, stdout.split('\n').at(-2)).toBe(0);
  });
});

test.each(Object.entries(NODE_FLAGS))('the demo and the bench run the %s as its unit does', (name, flags) => {
  const text = readFileSync(new URL(`felhom-${name}.service`, UNITS), 'utf8');
  expect(/^ExecStart=\/usr\/bin\/node (.*?) \/usr\/lib/m.exec(text)?.[1]).toBe(flags.join(' '));
});

/** Each gives a service a view of its own of mounts, processes, devices or modules. systemd.exec(5), systemd.resource-control(5). */
const HIDING = new RegExp(
  '^(Protect(?!Hostname=)\\w+|Private\\w+|ProcSubset|Device(Policy|Allow)|\\w+Paths|Mount(Flags|APIVFS|Images)|Root(Directory|Image)' +
    '|TemporaryFileSystem|Extension\\w+|DynamicUser|JoinsNamespaceOf|RestrictNamespaces|MemoryDenyWriteExecute|User|SupplementaryGroups)=',
  'm',
);
/** File systems; SMART; who has a drive open; the directories below mounts; owners of a file system's root. */
const NEEDED = ['SYS_ADMIN', 'SYS_RAWIO', 'SYS_PTRACE', 'DAC_READ_SEARCH', 'DAC_OVERRIDE', 'LINUX_IMMUTABLE', 'CHOWN', 'FOWNER'];

describe('the agent sees the host as it is', () => {
  const text = readFileSync(new URL('felhom-agent.service', UNITS), 'utf8');

  test('its unit hides nothing from it', () => {
    expect(HIDING.exec(text)?.[0]).toBeUndefined();
  });

  test.each([
    ...[
      'PrivateTmp=yes',
      'PrivateDevices=yes',
      'ProtectSystem=strict',
      'ProtectHome=yes',
      'ProtectHome=read-only',
      'ProtectClock=yes',
    ],
    ...[
      'ProtectKernelModules=yes',
      'ProtectKernelTunables=yes',
      'ProtectProc=invisible',
      'ProcSubset=pid',
      'DevicePolicy=closed',
    ],
    ...['DeviceAllow=/dev/null rw', 'ReadOnlyPaths=/etc', 'InaccessiblePaths=/run/udev', 'MountFlags=slave', 'PrivateMounts=yes'],
  ])('%s would be noticed', (line) => {
    expect(HIDING.test(text.replace('[Service]', `[Service]\n${line}`))).toBe(true);
  });

  test('no capability is taken from it that it needs', () => {
    const [, taken = ''] = /^CapabilityBoundingSet=~(.*)$/m.exec(text) ?? [];
    expect(taken).toContain('CAP_SYS_MODULE');
    expect(NEEDED.filter((name) => taken.includes(`CAP_${name}`))).toEqual([]);
    expect(text.match(/^CapabilityBoundingSet=/gm)).toHaveLength(1);
  });
});

test('there is a unit for each program that runs', () => {
  expect(units.sort()).toEqual([
    'felhom-agent.service',
    'felhom-controller.service',
    'felhom-quiesced-boot.service',
    'felhom-quiesced.service',
  ]);
});
