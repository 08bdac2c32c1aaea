/** `controller.yaml`, read and checked: every key has a default, unknown keys and bad values stop the start. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { absolutePath, duration, optional, readSettings, type SettingProblem, section } from '#shared/settings';

export interface ControllerConfig {
  /** `bootstrap.json`, which the host pushes. */
  bootstrap: string;
  stateDir: string;
  /** In memory, so that the instance id in it is new at each boot. */
  runtimeDir: string;
  pollMs: number;
  /** The socket of felhom-quiesced, which alone reads quiesce.yaml and holds applications. */
  quiesced: string;
  /** What is mounted where in this guest. Another file only in tests and the demo, where a guest's root is a directory. */
  mountinfo: string;
}

const controllerReader = section({
  bootstrap: optional(absolutePath, '/etc/felhom/bootstrap.json'),
  quiesced: optional(absolutePath, '/run/felhom-quiesced/socket'),
  state_dir: optional(absolutePath, '/var/lib/felhom-controller'),
  runtime_dir: optional(absolutePath, '/run/felhom'),
  poll: optional(duration('100ms', '1h'), 60_000),
  mountinfo: optional(absolutePath, '/proc/self/mountinfo'),
});

/** Settings that cannot be used; says all of it at once. */
class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(file: string, problems: SettingProblem[]) {
    const lines = problems.map(({ path, sentence }) => `  ${path === '' ? 'the file' : path}: ${sentence}`);
    super(`${file} cannot be used:\n${lines.join('\n')}`);
  }
}

const readYaml = async (file: string): Promise<unknown> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(file, [{ path: '', sentence: code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})` }]);
  }
  try {
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new ConfigError(file, [{ path: '', sentence: `is not YAML: ${(error as Error).message.trim().split('\n')[0]}` }]);
  }
};

/** @throws ConfigError */
export const loadConfig = async (file: string): Promise<ControllerConfig> => {
  const settled = readSettings(controllerReader, await readYaml(file));
  if (!settled.ok) throw new ConfigError(file, settled.problems);
  const { state_dir, runtime_dir, poll, ...rest } = settled.settings;
  return { ...rest, stateDir: state_dir, runtimeDir: runtime_dir, pollMs: poll };
};
