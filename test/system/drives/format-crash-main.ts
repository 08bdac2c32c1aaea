/** The whole agent as a process of its own, to be killed: over the drives of a lab, with programs that a test may stop at each step. */
import { readFileSync } from 'node:fs';
import { parseConfig } from '#agent/config';
import { systemClock } from '#agent/ports/clock';
import { createDriveCheck } from '#agent/ports/drive-check';
import { createDriveFormat } from '#agent/ports/drive-format';
import { startAgent } from '#agent/serve';

const [, , configFile = '', check = '[]', format = '[]'] = process.argv;

const parsed = parseConfig(readFileSync(configFile, 'utf8'));
if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
const config = { ...parsed.config, listen: [{ address: '127.0.0.1', port: 0 }] };
const agent = await startAgent(config, {
  journal: () => undefined,
  drives: {
    check: createDriveCheck({ clock: systemClock, program: JSON.parse(check) }),
    driveFormat: createDriveFormat({
      clock: systemClock,
      stateDir: config.stateDir,
      byScope: false,
      program: JSON.parse(format),
    }),
  },
});
const { fingerprint, adminSocket, listen } = agent;
process.stdout.write(`${JSON.stringify({ port: listen[0]?.port, fingerprint, adminSocket })}\n`);
process.on('SIGTERM', () => void agent.close().then(() => process.exit(0)));
