/**
 * Runs in the machine: asks the agent again and again, and prints the slowest answer of each path by the machine's own clock.
 * Arguments: port, fingerprint, token, rounds, paths.
 */
import { call } from '../../stranger/client.ts';

const [, , port, fingerprint = '', token = '', rounds, ...paths] = process.argv;
const worst: Record<string, { ms: number; statuses: number[] }> = {};
for (let round = 0; round < Number(rounds); round += 1) {
  for (const path of paths) {
    const began = performance.now();
    const { status } = await call({ host: '10.0.2.15', port: Number(port), fingerprint, token }, 'GET', path);
    const { ms, statuses } = worst[path] ?? { ms: 0, statuses: [] };
    worst[path] = { ms: Math.max(ms, performance.now() - began), statuses: [...new Set([...statuses, status])] };
  }
}
process.stdout.write(JSON.stringify(worst));
