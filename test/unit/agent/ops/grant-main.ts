/** Carries a signature in a process of its own, which is killed on the way: `<directory> <step> <line> <public key>`. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyIdOf } from '#shared/operator-keys';
import { grantHost } from './grant-world.ts';

const [dir = '', last = '', line = '', x = ''] = process.argv.slice(2);
const host = await grantHost(
  {
    keys: new Map([[await keyIdOf(x), { x, name: 'bela', state: 'active' }]]),
    reached: (step) => {
      if (step === 'after go') appendFileSync(join(dir, 'erased'), 'sdb\n');
      if (step === last) process.kill(process.pid, 'SIGKILL');
    },
  },
  dir,
);
await host.carry(line);
