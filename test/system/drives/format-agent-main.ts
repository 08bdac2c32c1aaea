/** What stands for the agent: holds a drive, says `held`, lets it begin when it is told to on stdin, says `begun`, and stays until it is killed. */
import { once } from 'node:events';
import { systemClock } from '#agent/ports/clock';
import { createDriveFormat, type FormatOrder } from '#agent/ports/drive-format';
import { systemdRuns } from '#agent/ports/systemd-mounts';

const [, , stateDir = '', order = '', ...program] = process.argv;

const formats = createDriveFormat({ clock: systemClock, stateDir, byScope: await systemdRuns(), program });
const wanted = JSON.parse(order) as Omit<FormatOrder, 'stateFile'>;
// The agent tries again, at once and for the same job, where somebody else looked at the drive.
await (await formats.hold(wanted)).letGo();
const held = await formats.hold(wanted);
process.stdout.write(`held ${held.pid}\n`);
await once(process.stdin, 'data');
await held.go();
process.stdout.write('begun\n');
setInterval(() => {}, 60_000);
