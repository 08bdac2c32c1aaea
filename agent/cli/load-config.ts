/** Reads the configuration file for a command. */
import { readFile } from 'node:fs/promises';
import { type AgentConfig, describeProblem, type ParsedConfig, parseConfig } from '../config.ts';
import { CommandFailed } from './io.ts';

export const readConfigFile = async (path: string): Promise<ParsedConfig> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailed(
      error.code === 'ENOENT'
        ? `There is no configuration at ${path}. Name another with --config, or start from the example in the package's systemd/examples/agent.yaml.`
        : `The configuration ${path} cannot be read (${error.code}). Run this as root.`,
    );
  });
  return parseConfig(text);
};

export const loadConfig = async (path: string): Promise<AgentConfig> => {
  const parsed = await readConfigFile(path);
  if (parsed.ok) return parsed.config;
  throw new CommandFailed(
    [`The configuration ${path} cannot be used:`, ...parsed.problems.map((one) => `  ${describeProblem(one)}`)].join('\n'),
  );
};
