/** How every `disks …` command runs its flow: with the agent, the terminal, and an exit status that says how it ended. */
import type { FlowPorts, Outcome } from '../disks/flow.ts';
import { EXIT, type Io } from './io.ts';

/** For scripts. */
const OUTCOME_EXIT: Record<Outcome, number> = {
  done: EXIT.well,
  refused: EXIT.error,
  'needs-confirmation': 3,
  'needs-operator': 4,
  'not-known': 5,
};

export interface ConfigOption {
  config: string;
}

/** Loaded only now: an idle loop carries nothing of this. */
const load = async () => {
  const [{ loadConfig }, { talkOf, withDrives }, { AgentError }, { nextWithoutAnswer }] = await Promise.all([
    import('../config.ts'),
    import('../disks.ts'),
    import('../ports/agent-error.ts'),
    import('../health/findings.ts'),
  ]);
  return { loadConfig, talkOf, withDrives, AgentError, nextWithoutAnswer };
};

/** Runs a flow, and shows what kept it from being begun. Null: it was that. @param json also as a document on stdout */
export const withFlow = async <T>(
  file: string,
  io: Io,
  flow: (ports: FlowPorts) => Promise<T>,
  json = false,
): Promise<T | null> => {
  const { loadConfig, talkOf, withDrives, AgentError, nextWithoutAnswer } = await load();
  const config = await loadConfig(file);
  try {
    return await withDrives(config, talkOf(io), flow);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const { code, message: sentence } = error;
    const next = nextWithoutAnswer(code);
    if (json) io.out(`${JSON.stringify({ error: { code, sentence, next }, exit_status: EXIT.error }, null, 2)}\n`);
    io.err(`felhom-controller: ${sentence} (${code})\nTry: ${next}.\n`);
    return null;
  }
};

export const runFlow = async (file: string, io: Io, flow: (ports: FlowPorts) => Promise<Outcome>): Promise<void> => {
  const outcome = await withFlow(file, io, flow);
  io.exit(outcome === null ? EXIT.error : OUTCOME_EXIT[outcome]);
};
