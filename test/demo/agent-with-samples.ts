/** The agent as `felhom-agent serve` runs it, but for the drives, which it is told of: for a demo that cannot attach any. */
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/cli/load-config';
import { readBootId } from '#agent/ports/boot-id';
import { openStore } from '#agent/ports/store';
import { startAgent } from '#agent/serve';
import { BLANK, sampleSources } from './samples.ts';

const { values } = parseArgs({ options: { config: { type: 'string', default: '' } } });
const config = await loadConfig(values.config);

// There is nothing to read, so the proof of the blank one is written down beforehand.
const store = await openStore(join(config.stateDir, 'felhom.db'));
await store.write({
  sql: 'INSERT INTO blank_proofs (boot_id, diskseq, size_bytes, sectors_written, blank, first_data_at, finished_at) VALUES (?, ?, ?, 0, 1, NULL, ?)',
  values: [await readBootId(), BLANK.diskseq, BLANK.sizeBytes, Date.now()],
});
await store.close();

/** The demo's directory, in which `writeAgentConfig` put `agent/agent.yaml`. */
const dir = dirname(dirname(values.config));
const agent = await startAgent(config, { drives: sampleSources(dir) });
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => void agent.close().then(() => process.exit(0)));
