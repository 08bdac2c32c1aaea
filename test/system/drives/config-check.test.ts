/** `felhom-agent config check` compares `disks.protect` with what is plugged in, and never fails for it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configCheckCommand } from '#agent/cli/config-check';
import { labMissing, withLab } from './lab.ts';

const check = async (file: string) => {
  const said = { out: [] as string[], err: [] as string[], exit: 0 };
  const io = {
    out: (line: string) => void said.out.push(line),
    err: (line: string) => void said.err.push(line),
    exit: (status: number) => {
      said.exit = status;
    },
  };
  await configCheckCommand(io).parseAsync(['--config', file], { from: 'user' });
  return said;
};

describe.skipIf(labMissing !== '')(`config check${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('an entry that matches nothing is told, one that matches is not, and the file is good', () =>
    withLab(async (lab) => {
      await lab.drive({ name: 'nas', mb: 16, serial: 'WD-WX12', wwn: '0x50014ee2000000ff' });
      const file = join(lab.dir, 'agent.yaml');
      const write = (udevDir: string, protect: string) =>
        writeFileSync(
          file,
          `listen: [{address: 10.10.10.1, port: 8443}]\ndisks: {udev_dir: ${udevDir}, loop_drives: ["${lab.loopDrives}"], protect: ${protect}}\n`,
        );
      write(lab.udevDir, '["serial:WD-WX12", "wwn:50014ee2000000ff", "serial:WD-XW12"]');
      const note =
        'disks.protect: serial:WD-XW12 matches no drive that is plugged in now. Is it as "felhom-agent disks list" shows it?';
      expect(await check(file)).toEqual({ out: [], err: [note, `${file} is good.`], exit: 0 });
      write(lab.udevDir, '[]');
      expect(await check(file)).toEqual({ out: [], err: [`${file} is good.`], exit: 0 });
    }));

  test('where udev cannot be asked it says so, and the file is good', () =>
    withLab(async (lab) => {
      const file = join(lab.dir, 'agent.yaml');
      writeFileSync(file, 'listen: [{address: 10.10.10.1, port: 8443}]\ndisks: {udev_dir: /nowhere, protect: ["serial:X"]}\n');
      const { err, exit } = await check(file);
      expect([err.length, exit, err[1]]).toEqual([2, 0, `${file} is good.`]);
    }));
});
